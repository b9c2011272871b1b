"""Content parts as Anthropic's content blocks, and their cache breakpoints."""

import base64

import pytest

from gateway.errors import Untranslatable
from tests.support.anthropic_dialect import (
    WEATHER,
    assistant_calling,
    text_part,
    tool_call,
    tool_result,
    turns,
    vendor_body,
    vendor_request,
)

PIXEL = base64.b64encode(b"\x89PNG pixel").decode()
PDF = base64.b64encode(b"%PDF-1.4 page").decode()


def user_content(*parts):
    """The blocks of a user message with these parts."""
    return turns({"role": "user", "content": list(parts)})[0]["content"]


def test_an_image_in_a_data_url_is_sent_inline():
    assert user_content({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}) == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    ]


def test_an_image_by_http_url_is_sent_by_its_url():
    assert user_content({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}) == [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    ]


def test_the_detail_of_an_image_is_dropped_and_reported_unless_it_is_auto():
    def dropped(detail):
        part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": detail}}
        return vendor_request(messages=[{"role": "user", "content": [part]}]).dropped

    assert dropped("high") == ("messages[0].content[0].image_url.detail",)
    assert dropped("auto") == ()


@pytest.mark.parametrize("data", [f"data:application/pdf;base64,{PDF}", PDF])
def test_a_pdf_is_a_document_titled_by_its_file_name(data):
    assert user_content({"type": "file", "file": {"filename": "a.pdf", "file_data": data}}) == [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            "title": "a.pdf",
        }
    ]


@pytest.mark.parametrize("header", ["data:text/csv;base64,", "data:text/plain;charset=utf-8;base64,", ""])
def test_a_text_file_is_a_document_with_its_decoded_text(header):
    data = header + base64.b64encode("Grüße, 1".encode()).decode()
    assert user_content({"type": "file", "file": {"filename": "a.csv", "file_data": data}}) == [
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Grüße, 1"},
            "title": "a.csv",
        }
    ]


def test_a_file_by_its_id_requests_the_files_beta():
    sent = vendor_request(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "file_1"}}]}])
    assert sent.body["messages"][0]["content"] == [
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    ]
    assert sent.headers["anthropic-beta"] == "files-api-2025-04-14"
    assert "anthropic-beta" not in vendor_request().headers


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
        {"type": "file", "file": {"file_data": f"data:audio/flac;base64,{PIXEL}"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}},
        {"type": "file", "file": {"filename": "x"}},
        {"type": "image_url", "image_url": {"url": "ftp://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}},
        {"type": "video", "video": {}},
    ],
)
def test_a_part_that_the_api_does_not_take_is_refused_with_its_path(part):
    with pytest.raises(Untranslatable) as error:
        user_content(text_part("Listen:"), part)
    assert error.value.param == "messages[0].content[1]"


def test_cache_control_of_parts_messages_and_tools_is_sent():
    for_an_hour = {"type": "ephemeral", "ttl": "1h"}
    sent = vendor_body(
        messages=[
            {"role": "system", "content": [{**text_part("one"), "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": [text_part("a"), text_part("b")], "cache_control": for_an_hour},
            assistant_calling(tool_call("c1")),
            {**tool_result("c1"), "cache_control": for_an_hour},
            {"role": "user", "content": [{**text_part("c"), "prompt_cache_breakpoint": {"mode": "explicit"}}]},
        ],
        tools=[{**WEATHER, "cache_control": for_an_hour}],
    )
    assert sent["system"][0]["cache_control"] == {"type": "ephemeral"}
    first, _, last = sent["messages"]
    assert [block.get("cache_control") for block in first["content"]] == [None, for_an_hour]
    assert [block["cache_control"] for block in last["content"]] == [for_an_hour, {"type": "ephemeral"}]
    assert sent["tools"][0]["cache_control"] == for_an_hour


def test_cache_control_of_a_part_takes_precedence_over_that_of_its_message():
    part = {**text_part("a"), "cache_control": {"type": "ephemeral", "ttl": "5m"}}
    sent = vendor_request(messages=[{"role": "user", "content": [part], "cache_control": {"type": "ephemeral"}}])
    assert sent.body["messages"][0]["content"] == [part]
    assert sent.dropped == ("messages[0].cache_control",)
