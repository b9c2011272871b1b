"""The gateway with a fault put into it on purpose: rows of the matrix that hold for the gateway must not hold for it."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.support.fault_matrix import AWAY, HEALTHY, ROWS
from tests.support.faults import AFTER, BROKEN_OFF, HEADERS, OPENAI
from tests.support.observation import gateway, observed
from tests.support.scripted_upstream import unreachable
from tests.support.servers import ROOT

LEAVES = ((HEADERS, AWAY), (AFTER, f"{AWAY} in a silence"))
BREAKS = ((AFTER, BROKEN_OFF), (AFTER, "reset"), (AFTER, "an error event"))
WELL = ((AFTER, HEALTHY),)
CHOSEN = [row for row in ROWS if row.place is OPENAI and (row.phase, row.fault) in (*LEAVES, *BREAKS, *WELL)]


class Mutant(NamedTuple):
    """One change of a file of the gateway, and the rows that it breaks."""

    file: str
    text: str
    instead: str
    breaks: tuple[tuple[str, str], ...]


MUTANTS = {
    "swallows an error": Mutant(
        "gateway/completions/event_stream.py",
        "    except GatewayError as failure:\n        error = without_traceback(failure)\n",
        "    except GatewayError:\n        frames.append(b'data: [DONE]\\n\\n')\n",
        BREAKS,
    ),
    "makes up a finish_reason": Mutant(
        "gateway/dialects/openai/stream.py",
        "    if last_usage:\n        yield ",
        "    for index in (index for index, choice in choices.items() if not choice.finished):\n"
        '        yield {**identity, "choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]}\n'
        "    if last_usage:\n        yield ",
        BREAKS[:1],
    ),
    "hangs up on nobody": Mutant(
        "gateway/transport/exchange.py",
        "            else:\n                connection.close()\n",
        '            else:\n                vars(self._pool).setdefault("lost", []).append(connection)\n',
        LEAVES,
    ),
}


@pytest.fixture(params=MUTANTS)
def mutant(request):
    return MUTANTS[request.param]


@pytest.fixture
def mutated(mutant, tmp_path, upstream):
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "gateway", copy / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "wsgi.py"):  # the settings of gunicorn are the same for both
        shutil.copy(ROOT / name, copy)
    written = (copy / mutant.file).read_text(encoding="utf-8")
    assert written.count(mutant.text) == 1, f"{mutant.file} has changed: what shall the mutant do now?"
    (copy / mutant.file).write_text(written.replace(mutant.text, mutant.instead), encoding="utf-8")
    with unreachable() as origins, gateway(tmp_path / "served", upstream, origins, PYTHONPATH=str(copy)) as server:
        yield server


def test_the_matrix_notices_a_gateway_that(mutant, mutated, upstream):
    with ThreadPoolExecutor(len(CHOSEN)) as pool:
        cells = [(row, pool.submit(observed, row, mutated, upstream)) for row in CHOSEN]
    broken = {(row.phase, row.fault) for row, cell in cells if cell.exception() or cell.result() != row.seen}
    assert broken >= set(mutant.breaks)
    assert not broken & set(WELL), "it does not work at all"
