"""A row of the matrix as it happens: a gateway in front of upstreams that fail, a call, and what all three see of it."""

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
from tests.support.fault_matrix import ENDED, HEARD, ROWS, SOON, Row, Seen
from tests.support.faults import IMPATIENT, OTHER, PLAIN, STREAM
from tests.support.http_client import Stream, chat, enveloped, opened
from tests.support.scripted_upstream import Asked, Upstream
from tests.support.servers import Server, eventually

PATIENCE = 5.0
"""Seconds for what has to come at once."""
SETTINGS = {"RETRY_MAX_ATTEMPTS": "2", "CONNECT_TIMEOUT": "2", "GATEWAY_THREADS": "100"}
TIMEOUT = 2
"""Seconds that an impatient target has."""


@contextmanager
def gateway(folder: Path, upstream: Upstream, origins: Mapping[str, str], **environ: str) -> Iterator[Server]:
    """A gateway with a model name for each prefix of the rows; `origins`: where the addresses of faults are."""
    folder.mkdir(parents=True)
    config = folder / "config.json"  # which is YAML as well
    config.write_text(json.dumps({"model_list": list(_entries(origins))}))
    with servers.gateway(
        folder, **provider_urls(upstream.url), **SETTINGS, GATEWAY_CONFIG=str(config), LOG_LEVEL="debug", **environ
    ) as server:
        yield server


def _entries(origins: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for prefix, (first, *others) in {row.prefix: (row, *row.place.dialects[1:]) for row in ROWS}.items():
        dialect, special = first.place.dialects[0], {}
        if first.address == IMPATIENT:
            special = {"timeout": TIMEOUT}
        elif first.address:
            special = {"api_base": origins[first.address] + ("/v1" if dialect == "openai" else "")}
        yield {"model_name": f"{prefix}*", "litellm_params": {"model": f"{dialect}/*", **special}}
        for other in others:
            model = "other-*" if first.place is OTHER else "*"
            yield {"model_name": f"{prefix}*", "litellm_params": {"model": f"{other}/{model}"}}


def observed(row: Row, server: Server, upstream: Upstream) -> Seen:
    """What client, upstream and log see of a row."""
    model = upstream.model(*row.scripts)
    upstream.scripts[f"other-{model}"] = list(row.scripts[-1:])
    body, ident = chat(row.prefix + model, stream=row.form != PLAIN), f"matrix-{model}-"

    def calls() -> list[Asked]:
        return [*upstream.calls[model], *upstream.calls[f"other-{model}"]]

    with opened(server, body, **{"X-Request-Id": ident}) as client:
        if row.leaves:
            _wait(row, client, calls)
            client_saw, trail = "leaves", ""
        else:
            client_saw, trail = told(client, row.form)
    lines = eventually(lambda: requests_logged(server, ident), 2 * PATIENCE, step=0.1)
    eventually(lambda: all(call.end for call in calls()), PATIENCE)
    ends = [f"{_dialect(call)} {call.end or 'goes on'}" for call in calls()]
    assert len(lines) == 1, f"{len(lines)} lines in the log for one request"
    return Seen(client_saw, trail, ", ".join(ends) or "no call", *logged(lines[0]))


def told(client: socket.socket, form: str) -> tuple[str, str]:
    """What a client reads of an answer, after a look at whether it is well-formed; and x-gateway-attempts."""
    with closing(http.client.HTTPResponse(client)) as response:
        response.begin()
        status, headers, body = response.status, response.headers, response.read()
    assert headers["x-request-id"]
    trail = headers["x-gateway-attempts"]
    if status == 200 and form == STREAM:
        return _heard(Stream(status, headers, [(0.0, line) for line in body.split(b"\n")])), trail
    if status == 200:
        (choice,) = json.loads(body)["choices"]
        return f'200 "{choice["message"]["content"]}" {choice["finish_reason"]}', trail
    assert headers["content-type"] == "application/json"
    said, wait = enveloped(json.loads(body)), headers["retry-after"]
    return f"{status} {said['code'] or said['type']}" + (f" Retry-After {wait}" if wait else ""), trail


def _heard(stream: Stream) -> str:
    assert len({chunk["id"] for chunk in stream.chunks}) == 1
    assert stream.choices[0]["delta"]["role"] == "assistant"
    assert stream.data.count(b"[DONE]") == stream.done
    end = "[DONE]" if stream.done else f"error {stream.error['code'] or stream.error['type']}"
    return " ".join(["200", f'"{stream.text}"', *stream.finishes, end])


def requests_logged(server: Server, beginning: str) -> list[dict[str, Any]]:
    """The `request` lines in the log, of ids that begin so; the last line of the file may be half-written."""
    whole = server.out().rpartition("\n")[0].splitlines()
    lines = [json.loads(line) for line in whole if f'"request_id":"{beginning}' in line]
    return [line for line in lines if line["event"] == "request"]


def logged(line: dict[str, Any]) -> tuple[str, str]:
    """Outcome, status and error of a log line; and its attempts, as the header has them."""
    tried = [f"{one['target'].partition('/')[0]}:{one['status']}" for one in line.get("attempts", ())]
    return " ".join(filter(None, (line["outcome"], str(line["status"]), line.get("error")))), ",".join(tried)


def _wait(row: Row, client: socket.socket, calls: Callable[[], list[Asked]]) -> None:
    """Until it is time for the client of a row to leave."""
    if row.leaves == SOON:
        time.sleep(0.5)
        return
    assert eventually(lambda: len(calls()) == len(row.scripts) or (row.leaves == ENDED and calls()), 2 * PATIENCE)
    if row.leaves == ENDED:
        assert eventually(lambda: calls()[0].end, PATIENCE)
    if row.leaves == HEARD:
        heard = b""
        while b'"Hel"' not in heard:
            piece = client.recv(4096)
            assert piece, heard
            heard += piece


def _dialect(call: Asked) -> str:
    return "anthropic" if call.path == "/v1/messages" else "openai"
