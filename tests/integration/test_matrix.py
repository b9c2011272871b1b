"""Each fault, in each phase, form and worker class: what client, upstream and log see of it. matrix.py has the rows."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.support.fault_matrix import DOCUMENT, ROWS, document
from tests.support.faults import AFTER, BODY, DIALECTS, FORMS, PHASES, STREAM
from tests.support.http_client import get
from tests.support.observation import gateway, observed, requests_logged
from tests.support.scripted_upstream import unreachable
from tests.support.servers import WORKER_CLASSES

AT_ONCE = 32
"""Calls under way at each gateway."""


@pytest.fixture(scope="session")
def matrix_gateways(folder, upstream):
    with ExitStack() as stack:
        origins = stack.enter_context(unreachable())
        yield {
            kind: stack.enter_context(gateway(folder / f"matrix-{kind}", upstream, origins, GATEWAY_WORKER_CLASS=kind))
            for kind in WORKER_CLASSES
        }


@pytest.fixture(scope="session")
def cells(matrix_gateways, upstream):
    """What is seen of each row, behind each worker class: futures."""
    with ExitStack() as stack:
        pools = {kind: stack.enter_context(ThreadPoolExecutor(AT_ONCE)) for kind in WORKER_CLASSES}
        yield {
            (kind, row): pools[kind].submit(observed, ROWS[row], server, upstream)
            for row in range(len(ROWS))
            for kind, server in matrix_gateways.items()
        }


@pytest.mark.parametrize("row", range(len(ROWS)), ids=[str(row) for row in ROWS])
def test_client_upstream_and_log_see_what_the_row_says(cells, worker_class, row):
    assert cells[worker_class, row].result() == ROWS[row].seen


def test_every_request_has_one_line_in_the_log_when_all_are_over(cells, matrix_gateways, worker_class):
    for cell in cells.values():
        cell.exception()
    asked = requests_logged(matrix_gateways[worker_class], "matrix-")
    assert len(asked) == len(ROWS)


def test_the_worker_is_as_good_as_before(cells, matrix_gateways, worker_class):
    for cell in cells.values():
        cell.exception()
    assert get(matrix_gateways[worker_class], "/health").status_code == 200


def test_no_two_rows_are_the_same():
    assert len({str(row) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("phase", PHASES)
def test_there_are_rows_of_each_phase_and_form(phase, form):
    assert any((row.phase, row.form) == (phase, form) for row in ROWS)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("phase", [BODY, AFTER])
def test_each_dialect_breaks_off_in_each_phase_of_a_stream(phase, dialect):
    found = [row for row in ROWS if (row.phase, row.form, row.place.dialects[0]) == (phase, STREAM, dialect)]
    assert len(found) > 10


def test_the_document_has_the_rows_as_they_are():
    written = DOCUMENT.read_text(encoding="utf-8")
    assert document(written) == written, f"python -m tests.integration.matrix rewrites {DOCUMENT.name}"
