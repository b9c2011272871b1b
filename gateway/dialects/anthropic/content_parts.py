"""OpenAI's content parts as Anthropic's content blocks: https://platform.claude.com/docs/en/api/messages"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from gateway.errors import Untranslatable
from gateway.openai_types import Json

DATA_URL = re.compile(r"data:(?P<type>[^;,]*)(?:;[^;,]+)*?;base64,", re.IGNORECASE)
# The media types of images, by what clients call them. These four are all that the API takes:
# https://platform.claude.com/docs/en/build-with-claude/vision
IMAGE_TYPES: Mapping[str, str] = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
PDF = "application/pdf"
TEXT_TYPES = re.compile(r"text/.+|application/(json|xml|yaml|x-yaml|toml|javascript|x-ndjson|.+\+(json|xml))")
TYPES_BY_EXTENSION: Mapping[str, str] = {
    "pdf": PDF,
    **dict.fromkeys(
        ("txt", "md", "csv", "tsv", "json", "jsonl", "xml", "html", "yaml", "yml", "py", "log"), "text/plain"
    ),
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
}
# What a PDF begins with in base64: its first bytes are "%PDF-".
PDF_PREFIX = "JVBERi"
# Anthropic's blocks that clients of this gateway may send as they are.
NATIVE_BLOCKS = ("image", "document", "search_result", "container_upload", "tool_reference")
THINKING_BLOCKS = ("thinking", "redacted_thinking")
# Characters of a value that an error message quotes.
MAX_QUOTED = 100
EPHEMERAL: Json = {"type": "ephemeral"}


class Translated(NamedTuple):
    """Fields of the vendor's request, a block or a tool, and the client's field paths that have no place in them."""

    fields: Json
    dropped: tuple[str, ...] = ()


def cache_control(source: Json) -> Json:
    """
    The cache breakpoint on a part, a tool or a message, in Anthropic's form or OpenAI's.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching
    """
    if source.get("cache_control"):
        return {"cache_control": source["cache_control"]}
    return {"cache_control": EPHEMERAL} if source.get("prompt_cache_breakpoint") else {}


def content_blocks(content: Any, path: str) -> list[Translated]:
    """The blocks of a message's content, without blank texts."""
    match content:
        case None:
            return []
        case str():
            return text_blocks([content])
        case _:
            return [content_block(part, f"{path}[{n}]") for n, part in enumerate(content) if not _is_blank(part)]


def text_blocks(texts: Iterable[str | None]) -> list[Translated]:
    # The API refuses others: "text content blocks must contain non-whitespace text".
    return [Translated({"type": "text", "text": text}) for text in texts if text and text.strip()]


def _is_blank(part: Json) -> bool:
    text = part.get("text", "") if part.get("type") == "text" else part.get("refusal", "")
    return part.get("type") in ("text", "refusal") and not (text or "").strip()


def content_block(part: Json, path: str) -> Translated:
    """The block of one part. Raises Untranslatable for what the API does not take, such as audio."""
    match part:
        case {"type": "text", "text": str() as text}:
            citations = {"citations": part["citations"]} if part.get("citations") else {}
            return Translated({"type": "text", "text": text, **citations, **cache_control(part)})
        case {"type": "refusal", "refusal": str() as text}:
            # A refusal is a text of the assistant's; Anthropic has no block for it.
            return Translated({"type": "text", "text": text, **cache_control(part)})
        case {"type": "image_url", "image_url": str() as url}:
            return Translated({**_url_block(url, path), **cache_control(part)})
        case {"type": "image_url", "image_url": {"url": str() as url, **others}}:
            # Anthropic has no levels of detail. "auto" leaves the level to the vendor, so that nothing is lost with it.
            detail = (f"{path}.image_url.detail",) if others.get("detail") not in (None, "auto") else ()
            return Translated({**_url_block(url, path), **cache_control(part)}, detail)
        case {"type": "file", "file": dict() as file}:
            block, dropped = _file_block(file, path)
            options = {name: part[name] for name in ("citations", "context", "title") if part.get(name)}
            return Translated({**block, **options, **cache_control(part)}, dropped)
        case {"type": kind} if kind in NATIVE_BLOCKS:
            return Translated(part)
        case _:
            return _refuse(f"Anthropic's API has no content of type {str(part.get('type'))[:MAX_QUOTED]!r}", path)


def _refuse(reason: str, path: str) -> NoReturn:
    raise Untranslatable(f"{reason}.", param=path)


def _url_block(url: str, path: str) -> Json:
    """An image by its URL, or what a data URL holds."""
    if re.match("https?://", url, re.IGNORECASE):
        return {"type": "image", "source": {"type": "url", "url": url}}
    header = DATA_URL.match(url)
    if header is None:
        return _refuse("Anthropic's API takes images by http, https and base64 data URLs only", path)
    return _inline_block(header["type"], url[header.end() :], path)


def _inline_block(media_type: str, data: str, path: str) -> Json:
    """An image or document from base64 data."""
    media_type = media_type.lower().strip()
    if media_type in IMAGE_TYPES:
        return {"type": "image", "source": {"type": "base64", "media_type": IMAGE_TYPES[media_type], "data": data}}
    if media_type == PDF:
        return {"type": "document", "source": {"type": "base64", "media_type": PDF, "data": data}}
    if TEXT_TYPES.fullmatch(media_type):
        # A text document's data is the text itself, not its base64, and its only media type is text/plain.
        text = _decoded(data, path)
        return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}
    return _refuse(f"Anthropic's API takes no content of the media type {media_type[:MAX_QUOTED]!r}", path)


def _decoded(data: str, path: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return _refuse("A text file must be UTF-8 in base64", path)


def _file_block(file: Json, path: str) -> Translated:
    """A file by its id or its data."""
    match file:
        case {"file_id": str() as file_id, **others} if file_id:
            block: Json = {"type": "document", "source": {"type": "file", "file_id": file_id}}
            dropped = (f"{path}.file.file_data",) if others.get("file_data") else ()
        case {"file_data": str() as data} if DATA_URL.match(data) or not data.startswith("data:"):
            header = DATA_URL.match(data)
            block = _inline_block(_media_type(file, data, header), data[header.end() :] if header else data, path)
            dropped = ()
        case _:
            return _refuse("A file needs a file_id, or its data in base64", path)
    if not file.get("filename"):
        return Translated(block, dropped)
    # Documents have a title, images have none.
    if block["type"] == "image":
        return Translated(block, (*dropped, f"{path}.file.filename"))
    return Translated({**block, "title": file["filename"]}, dropped)


def _media_type(file: Json, data: str, header: re.Match[str] | None) -> str:
    """From the data URL, or else the `format` field, the file's name, or its first bytes."""
    if header and header["type"] not in ("", "application/octet-stream"):
        return header["type"]
    if file.get("format"):
        return str(file["format"])
    extension = str(file.get("filename") or "").rpartition(".")[2].lower()
    content = data[header.end() :] if header else data
    return TYPES_BY_EXTENSION.get(extension) or (PDF if content.startswith(PDF_PREFIX) else "unknown")
