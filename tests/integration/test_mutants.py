"""Mutants of the gateway: a defect that is added on purpose must break rows of the fault matrix."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.support.fault_matrix import CLIENT_DISCONNECTS, DISCONNECTS_IN_PAUSE, NO_FAULT, ROWS
from tests.support.faults import (
    AFTER_CONTENT,
    BEFORE_HEADERS,
    ERROR_EVENT,
    OPENAI,
    RESET_IN_STREAM,
    STREAM_ENDS_EARLY,
)
from tests.support.observation import observe, run_matrix_gateway
from tests.support.scripted_upstream import failing_origins
from tests.support.servers import ROOT

DISCONNECTS = ((BEFORE_HEADERS, CLIENT_DISCONNECTS), (AFTER_CONTENT, DISCONNECTS_IN_PAUSE))
STREAM_FAILURES = (
    (AFTER_CONTENT, STREAM_ENDS_EARLY),
    (AFTER_CONTENT, RESET_IN_STREAM),
    (AFTER_CONTENT, ERROR_EVENT),
)
SUCCESSES = ((AFTER_CONTENT, NO_FAULT),)
SELECTED_ROWS = [
    row
    for row in ROWS
    if row.route is OPENAI and (row.phase, row.fault) in (*DISCONNECTS, *STREAM_FAILURES, *SUCCESSES)
]


class Mutant(NamedTuple):
    """A change of one file of the gateway, and the rows that it breaks."""

    file: str
    original: str
    replacement: str
    broken_rows: tuple[tuple[str, str], ...]


MUTANTS = {
    "swallows an error": Mutant(
        "gateway/completions/event_stream.py",
        "    except GatewayError as failure:\n        error = without_traceback(failure)\n",
        "    except GatewayError:\n        frames.append(b'data: [DONE]\\n\\n')\n",
        STREAM_FAILURES,
    ),
    "invents a finish_reason": Mutant(
        "gateway/dialects/openai/stream.py",
        "    if last_usage:\n        yield ",
        "    for index in (index for index, choice in choices.items() if not choice.finished):\n"
        '        yield {**identity, "choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]}\n'
        "    if last_usage:\n        yield ",
        STREAM_FAILURES[:1],
    ),
    "does not close connections": Mutant(
        "gateway/transport/exchange.py",
        "            else:\n                connection.close()\n",
        '            else:\n                vars(self._pool).setdefault("leaked", []).append(connection)\n',
        DISCONNECTS,
    ),
}


@pytest.fixture(params=MUTANTS)
def mutant(request):
    return MUTANTS[request.param]


@pytest.fixture
def mutant_gateway(mutant, tmp_path, scripted_upstream):
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "gateway", copy / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "wsgi.py"):  # gunicorn.conf.py stays that of the original
        shutil.copy(ROOT / name, copy)
    source = (copy / mutant.file).read_text(encoding="utf-8")
    assert source.count(mutant.original) == 1, f"{mutant.file} has changed: update its mutant"
    (copy / mutant.file).write_text(source.replace(mutant.original, mutant.replacement), encoding="utf-8")
    with (
        failing_origins() as origins,
        run_matrix_gateway(tmp_path / "gateway", scripted_upstream, origins, PYTHONPATH=str(copy)) as server,
    ):
        yield server


def test_the_fault_matrix_detects_the_mutant(mutant, mutant_gateway, scripted_upstream):
    with ThreadPoolExecutor(len(SELECTED_ROWS)) as pool:
        futures = [(row, pool.submit(observe, row, mutant_gateway, scripted_upstream)) for row in SELECTED_ROWS]
    broken_rows = {
        (row.phase, row.fault) for row, future in futures if future.exception() or future.result() != row.expected
    }
    assert broken_rows >= set(mutant.broken_rows)
    assert not broken_rows & set(SUCCESSES), "the mutant does not work at all"
