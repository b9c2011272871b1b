"""Run a row of the fault matrix: a gateway in front of upstreams that fail, one call, and the three views of it."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.support import servers
from tests.support.environment import provider_urls
from tests.support.fault_matrix import (
    AFTER_HALF_A_SECOND,
    CONTENT_RECEIVED,
    DISCONNECTS,
    FIRST_SCRIPT_ENDED,
    NOTHING,
    ROWS,
    Observation,
    Row,
    success_cell,
)
from tests.support.faults import OTHER_MODEL, PLAIN, SHORT_TIMEOUT, STREAM, valid_response
from tests.support.http_client import StreamedResponse, chat_request, expect_error_body, send_request
from tests.support.scripted_upstream import ReceivedCall, ScriptedUpstream
from tests.support.servers import Server, wait_until

# Seconds in which something must happen that takes no time by itself.
EVENT_TIMEOUT = 5.0
SETTINGS = {"RETRY_MAX_ATTEMPTS": "2", "CONNECT_TIMEOUT": "2", "GATEWAY_THREADS": "100"}
TARGET_TIMEOUT = 2


@contextmanager
def run_matrix_gateway(
    folder: Path, upstream: ScriptedUpstream, origins: Mapping[str, str], **environ: str
) -> Iterator[Server]:
    """Run a gateway with a model name for each prefix of the rows. `origins`: those of the faults, by their names."""
    folder.mkdir(parents=True)
    config = folder / "config.json"  # JSON is YAML too
    config.write_text(json.dumps({"model_list": list(_model_entries(origins))}))
    with servers.run_gateway(
        folder, **provider_urls(upstream.url), **SETTINGS, GATEWAY_CONFIG=str(config), LOG_LEVEL="debug", **environ
    ) as server:
        yield server


def _model_entries(origins: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for prefix, row in {row.prefix: row for row in ROWS}.items():
        dialect, *fallbacks = row.route.dialects
        params: dict[str, Any] = {"model": f"{dialect}/*"}
        if row.origin == SHORT_TIMEOUT:
            params["timeout"] = TARGET_TIMEOUT
        elif row.origin:
            params["api_base"] = origins[row.origin] + ("/v1" if dialect == "openai" else "")
        yield {"model_name": f"{prefix}*", "litellm_params": params}
        for fallback in fallbacks:
            model = "other-*" if row.route is OTHER_MODEL else "*"
            yield {"model_name": f"{prefix}*", "litellm_params": {"model": f"{fallback}/{model}"}}


def observe(row: Row, server: Server, upstream: ScriptedUpstream) -> Observation:
    """Make the call of a row and return what client, upstream and log see."""
    model = upstream.add_model(*row.scripts)
    upstream.scripts[f"other-{model}"] = list(row.scripts[-1:])
    body, request_id = chat_request(row.prefix + model, stream=row.form != PLAIN), f"matrix-{model}-"

    def calls() -> list[ReceivedCall]:
        return [*upstream.calls[model], *upstream.calls[f"other-{model}"]]

    with send_request(server, body, **{"X-Request-Id": request_id}) as client:
        others_view = observe_other_client(row, server, upstream)
        if row.disconnect:
            _wait_to_disconnect(row, client, calls)
            client_view, attempts = DISCONNECTS, ""
        else:
            client_view, attempts = read_client_view(client, row.form)
    lines = wait_until(lambda: request_logs(server, request_id), 2 * EVENT_TIMEOUT, interval=0.1)
    wait_until(lambda: all(call.outcome for call in calls()), EVENT_TIMEOUT)
    upstream_view = ", ".join(f"{_dialect(call)} {call.outcome or 'unfinished'}" for call in calls())
    assert len(lines) == 1, f"{len(lines)} lines in the log for one request"
    return Observation(client_view, attempts, upstream_view or "no call", *log_view(lines[0]), others_view)


def observe_other_client(row: Row, server: Server, upstream: ScriptedUpstream) -> str:
    """Make a call of another client to a healthy model of the row's first provider, and return what it meets of the fault."""
    dialect = row.route.dialects[0]
    model = upstream.add_model(valid_response(dialect, PLAIN, "Not mine."))
    with send_request(server, chat_request(f"{dialect}/{model}")) as client:
        client_view, _ = read_client_view(client, PLAIN)
    return NOTHING if client_view == success_cell("Not mine.", PLAIN) else client_view


def read_client_view(client: socket.socket, form: str) -> tuple[str, str]:
    """Read a response, check that it is well-formed, and return the client's cell and x-gateway-attempts."""
    with closing(http.client.HTTPResponse(client)) as response:
        response.begin()
        status, headers, body = response.status, response.headers, response.read()
    assert headers["x-request-id"]
    attempts = headers["x-gateway-attempts"]
    if status == 200 and form == STREAM:
        return _stream_view(StreamedResponse(status, headers, [(0.0, line) for line in body.split(b"\n")])), attempts
    if status == 200:
        (choice,) = json.loads(body)["choices"]
        return f'200 "{choice["message"]["content"]}" {choice["finish_reason"]}', attempts
    assert headers["content-type"] == "application/json"
    error, retry_after = expect_error_body(json.loads(body)), headers["retry-after"]
    code = error["code"] or error["type"]
    return f"{status} {code}" + (f" Retry-After {retry_after}" if retry_after else ""), attempts


def _stream_view(stream: StreamedResponse) -> str:
    assert len({chunk["id"] for chunk in stream.chunks}) == 1
    assert stream.choices[0]["delta"]["role"] == "assistant"
    assert stream.data.count(b"[DONE]") == stream.done
    end = "[DONE]" if stream.done else f"error {stream.error['code'] or stream.error['type']}"
    return " ".join(["200", f'"{stream.text}"', *stream.finish_reasons, end])


def request_logs(server: Server, id_prefix: str) -> list[dict[str, Any]]:
    """Return the `request` lines of the log whose ids start with `id_prefix`."""
    complete = server.stdout().rpartition("\n")[0].splitlines()  # the last line may be half-written
    lines = [json.loads(line) for line in complete if f'"request_id":"{id_prefix}' in line]
    return [line for line in lines if line["event"] == "request"]


def log_view(line: dict[str, Any]) -> tuple[str, str]:
    """Return the outcome, status and error of a log line, and its attempts in the format of the header."""
    attempts = [f"{attempt['target'].partition('/')[0]}:{attempt['status']}" for attempt in line.get("attempts", ())]
    return " ".join(filter(None, (line["outcome"], str(line["status"]), line.get("error")))), ",".join(attempts)


def _wait_to_disconnect(row: Row, client: socket.socket, calls: Callable[[], list[ReceivedCall]]) -> None:
    if row.disconnect == AFTER_HALF_A_SECOND:
        time.sleep(0.5)
        return
    assert wait_until(
        lambda: len(calls()) == len(row.scripts) or (row.disconnect == FIRST_SCRIPT_ENDED and calls()),
        2 * EVENT_TIMEOUT,
    )
    if row.disconnect == FIRST_SCRIPT_ENDED:
        assert wait_until(lambda: calls()[0].outcome, EVENT_TIMEOUT)
    if row.disconnect == CONTENT_RECEIVED:
        received = b""
        while b'"Hel"' not in received:
            data = client.recv(4096)
            assert data, received
            received += data


def _dialect(call: ReceivedCall) -> str:
    return "anthropic" if call.path == "/v1/messages" else "openai"
