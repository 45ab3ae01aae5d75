"""From the body of a request to JSON, in bounded memory and whatever the headers claim.

SDKs label JSON as a form, as plain text or not at all, and a REST API inflates gzip but leaves the header on: so only
the bytes are believed. What concerns one event alone (a repeated key, a number beyond a double) is left in place for
the normaliser, which refuses that event and keeps its neighbours.
"""

from __future__ import annotations

import json
import math
import zlib
from base64 import b64decode
from collections.abc import Sequence

from leadscore.ingest.refusals import RequestRefusedError
from leadscore.normalising import RepeatedKeys

# Before and after inflating.
MAX_BODY_BYTES = 4 * 1024 * 1024
_MAX_BASE64_CHARACTERS = (MAX_BODY_BYTES + 2) // 3 * 4
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW_BITS = 31
# More digits than the largest double has; Python itself refuses to read thousands.
_MAX_INTEGER_DIGITS = 310


class NotJsonError(ValueError):
    """A text that is no JSON value; the message says why, and nothing of what it held."""


def decode_body(body: str, *, is_base64: bool) -> object:
    """Return the JSON value of a request's body; raises RequestRefusedError with 400 or 413."""
    raw = _octets(body, is_base64=is_base64)
    if raw.startswith(_GZIP_MAGIC):
        raw = _inflated(raw)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _unreadable("the body is not UTF-8 text") from None
    try:
        return parse_json(text)
    except NotJsonError as problem:
        raise _unreadable(f"the body is {problem}") from None


def parse_json(text: str) -> object:
    """Return the JSON value of a text, repeated keys and numbers beyond a double in place; raises NotJsonError."""
    try:
        parsed: object = json.loads(text, object_pairs_hook=_as_object, parse_int=_as_number)
    except RecursionError:
        raise NotJsonError("nested too deep") from None
    except ValueError:
        raise NotJsonError("not JSON") from None
    return parsed


def _octets(body: str, *, is_base64: bool) -> bytes:
    if len(body) > (_MAX_BASE64_CHARACTERS if is_base64 else MAX_BODY_BYTES):
        raise _too_large()
    try:
        raw = b64decode(body, validate=True) if is_base64 else body.encode()
    except ValueError:
        raise _unreadable("the body is not valid base64 or not valid text") from None
    if len(raw) > MAX_BODY_BYTES:
        raise _too_large()
    return raw


def _inflated(raw: bytes) -> bytes:
    inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
    try:
        inflated = inflater.decompress(raw, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise _unreadable("the body is damaged gzip") from None
    if len(inflated) > MAX_BODY_BYTES:
        raise _too_large()
    if not inflater.eof or inflater.unused_data:
        raise _unreadable("the body is not one whole gzip member")
    return inflated


def _as_object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else RepeatedKeys(members)


def _as_number(digits: str) -> float:
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else math.inf


def _unreadable(message: str) -> RequestRefusedError:
    return RequestRefusedError(400, "unreadable_body", message)


def _too_large() -> RequestRefusedError:
    return RequestRefusedError(413, "body_too_large", f"the body is larger than {MAX_BODY_BYTES} bytes")
