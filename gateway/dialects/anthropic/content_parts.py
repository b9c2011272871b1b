"""Content parts of OpenAI's messages as Anthropic's content blocks."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from gateway.errors import Untranslatable
from gateway.openai_types import Json

DATA_URL = re.compile(r"data:(?P<type>[^;,]*)(?:;[^;,]+)*?;base64,", re.IGNORECASE)
IMAGES: Mapping[str, str] = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
PDF = "application/pdf"
TEXTS = re.compile(r"text/.+|application/(json|xml|yaml|x-yaml|toml|javascript|x-ndjson|.+\+(json|xml))")
ENDINGS: Mapping[str, str] = {
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
PDF_BEGINS = "JVBERi"
NATIVE = ("image", "document", "search_result", "container_upload", "tool_reference")
EPHEMERAL: Json = {"type": "ephemeral"}


class Piece(NamedTuple):
    """A part of the vendor's request, and the paths of what of the client's request it leaves out."""

    body: Json
    dropped: tuple[str, ...] = ()


def cached(said: Json) -> Json:
    """The cache breakpoint that a part, a tool or a message asks for, in Anthropic's own form or OpenAI's."""
    if said.get("cache_control"):
        return {"cache_control": said["cache_control"]}
    return {"cache_control": EPHEMERAL} if said.get("prompt_cache_breakpoint") else {}


def blocks(content: Any, path: str) -> list[Piece]:
    """The blocks of a message's content; the API refuses blank texts, and they say nothing."""
    match content:
        case None:
            return []
        case str():
            return texts([content])
        case _:
            return [block(part, f"{path}[{n}]") for n, part in enumerate(content) if not _blank(part)]


def texts(said: Iterable[str | None]) -> list[Piece]:
    return [Piece({"type": "text", "text": text}) for text in said if text and text.strip()]


def _blank(part: Json) -> bool:
    text = part.get("text", "") if part.get("type") == "text" else part.get("refusal", "")
    return part.get("type") in ("text", "refusal") and not (text or "").strip()


def block(part: Json, path: str) -> Piece:
    """The block of one part. Raises Untranslatable for what Claude can't be shown, such as sound."""
    match part:
        case {"type": "text", "text": str() as text}:
            cited = {"citations": part["citations"]} if part.get("citations") else {}
            return Piece({"type": "text", "text": text, **cited, **cached(part)})
        case {"type": "refusal", "refusal": str() as text}:
            return Piece({"type": "text", "text": text, **cached(part)})
        case {"type": "image_url", "image_url": str() as url}:
            return Piece({**_linked(url, path), **cached(part)})
        case {"type": "image_url", "image_url": {"url": str() as url, **rest}}:
            # Claude has no such choice; `auto` leaves it open
            detail = (f"{path}.image_url.detail",) if rest.get("detail") not in (None, "auto") else ()
            return Piece({**_linked(url, path), **cached(part)}, detail)
        case {"type": "file", "file": dict() as file}:
            found, dropped = _file(file, path)
            own = {name: part[name] for name in ("citations", "context", "title") if part.get(name)}
            return Piece({**found, **own, **cached(part)}, dropped)
        case {"type": kind} if kind in NATIVE:
            return Piece(part)
        case _:
            return _refuse(f"Anthropic's API has no content of type {part.get('type')!r}", path)


def _refuse(why: str, path: str) -> NoReturn:
    raise Untranslatable(f"{why}.", param=path)


def _linked(url: str, path: str) -> Json:
    """An image, or another document, by its URL."""
    if re.match("https?://", url, re.IGNORECASE):
        return {"type": "image", "source": {"type": "url", "url": url}}
    found = DATA_URL.match(url)
    if found is None:
        return _refuse("Anthropic's API takes images by http, https and base64 data URLs only", path)
    return _inline(found["type"], url[found.end() :], path)


def _inline(kind: str, data: str, path: str) -> Json:
    """Base64 data as the block that shows it."""
    kind = kind.lower().strip()
    if kind in IMAGES:
        return {"type": "image", "source": {"type": "base64", "media_type": IMAGES[kind], "data": data}}
    if kind == PDF:
        return {"type": "document", "source": {"type": "base64", "media_type": PDF, "data": data}}
    if TEXTS.fullmatch(kind):
        return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": _text(data, path)}}
    return _refuse(f"Anthropic's API takes no content of the media type {kind!r}", path)


def _text(data: str, path: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return _refuse("A text file must be UTF-8 in base64", path)


def _file(file: Json, path: str) -> Piece:
    """A file by its id or its data; its name is the document's title."""
    match file:
        case {"file_id": str() as ident, **rest} if ident:
            found: Json = {"type": "document", "source": {"type": "file", "file_id": ident}}
            unused = (f"{path}.file.file_data",) if rest.get("file_data") else ()
        case {"file_data": str() as data} if DATA_URL.match(data) or not data.startswith("data:"):
            header = DATA_URL.match(data)
            found = _inline(_media_type(file, data, header), data[header.end() :] if header else data, path)
            unused = ()
        case _:
            return _refuse("A file needs a file_id, or its data in base64", path)
    if not file.get("filename"):
        return Piece(found, unused)
    if found["type"] == "image":
        return Piece(found, (*unused, f"{path}.file.filename"))
    return Piece({**found, "title": file["filename"]}, unused)


def _media_type(file: Json, data: str, header: re.Match[str] | None) -> str:
    """What a data URL says, or else the file's name, or its first bytes."""
    if header and header["type"] not in ("", "application/octet-stream"):
        return header["type"]
    ending = str(file.get("filename") or "").rpartition(".")[2].lower()
    begins = data[header.end() :] if header else data
    return str(file.get("format") or "") or ENDINGS.get(ending) or (PDF if begins.startswith(PDF_BEGINS) else "unknown")
