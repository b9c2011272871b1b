"""Each fault in each phase, form and worker class: what client, upstream and log see (rows in fault_matrix.py)."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.support.fault_matrix import DOCUMENT, ROWS, with_current_tables
from tests.support.faults import AFTER_CONTENT, BEFORE_CONTENT, DIALECTS, FORMS, PHASES, STREAM
from tests.support.http_client import get
from tests.support.observation import observe, request_logs, run_matrix_gateway
from tests.support.scripted_upstream import failing_origins
from tests.support.servers import WORKER_CLASSES

CALLS_IN_FLIGHT = 32  # at each gateway


@pytest.fixture(scope="session")
def matrix_gateways(folder, scripted_upstream):
    with ExitStack() as stack:
        origins = stack.enter_context(failing_origins())
        yield {
            worker_class: stack.enter_context(
                run_matrix_gateway(
                    folder / f"matrix-{worker_class}", scripted_upstream, origins, GATEWAY_WORKER_CLASS=worker_class
                )
            )
            for worker_class in WORKER_CLASSES
        }


@pytest.fixture(scope="session")
def observations(matrix_gateways, scripted_upstream):
    """Futures of the observation of each row, by worker class and row number."""
    with ExitStack() as stack:
        pools = {
            worker_class: stack.enter_context(ThreadPoolExecutor(CALLS_IN_FLIGHT)) for worker_class in WORKER_CLASSES
        }
        yield {
            (worker_class, index): pools[worker_class].submit(observe, row, gateway, scripted_upstream)
            for index, row in enumerate(ROWS)
            for worker_class, gateway in matrix_gateways.items()
        }


@pytest.mark.parametrize("index", range(len(ROWS)), ids=[str(row) for row in ROWS])
def test_client_upstream_and_log_see_what_the_row_expects(observations, worker_class, index):
    assert observations[worker_class, index].result() == ROWS[index].expected


def test_the_log_has_a_single_line_for_each_request(observations, matrix_gateways, worker_class):
    for future in observations.values():
        future.exception()
    assert len(request_logs(matrix_gateways[worker_class], "matrix-")) == len(ROWS)


def test_the_worker_still_responds_after_all_faults(observations, matrix_gateways, worker_class):
    for future in observations.values():
        future.exception()
    assert get(matrix_gateways[worker_class], "/health").status_code == 200


def test_no_two_rows_are_the_same():
    assert len({str(row) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("phase", PHASES)
def test_each_phase_has_rows_of_each_form(phase, form):
    assert any((row.phase, row.form) == (phase, form) for row in ROWS)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("phase", [BEFORE_CONTENT, AFTER_CONTENT])
def test_each_dialect_has_more_than_ten_stream_faults_in_each_phase(phase, dialect):
    rows = [row for row in ROWS if (row.phase, row.form, row.route.dialects[0]) == (phase, STREAM, dialect)]
    assert len(rows) > 10


def test_the_document_has_the_current_tables():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_current_tables(text) == text, f"python -m tests.support.fault_matrix rewrites {DOCUMENT.name}"
