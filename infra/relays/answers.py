"""What a relay's reply means. Replies come in many shapes; a parser that insists on one of them loses half the market.

The one rule behind all cases: only what is certain is said. A relay that may have taken the bundle is AMBIGUOUS, never REJECTED.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from infra.relays.json_reply import parse
from schemas.submissions import SubmissionStatus as Status

MAX_ANSWER_CHARS = 2000

_HASH = re.compile(r"0x[0-9a-fA-F]{64}\Z")
# A signature has 130 digits and a hash 64, so whatever is longer may be a transaction that the relay quotes back at us.
_LONG_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{131,}")
_SIGNATURE_TROUBLE = ("flashbots signature", "signature is required", "signature check", "signature provided")
_INTERNAL_ERROR, _LIMIT_EXCEEDED, _BAD_SIGNATURE = -32603, -32005, -32025
_TAKEN_STRINGS = frozenset({"nil", "null", "ok"})
_TAKEN_NUMBERS = frozenset({200})
_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Answer:
    """The meaning of one reply: status, the bundle hash it names (empty if none), the cause in words, and whether sending the
    same bytes again can change it."""

    status: Status
    bundle_hash: bytes = b""
    detail: str = ""
    again: bool = False


def classify(http_status: int, body: bytes) -> Answer:
    """The meaning of a complete HTTP reply. Total: any status and any bytes give an answer."""
    if http_status == 429:
        return Answer(Status.RETRYABLE, detail="rate limited", again=True)
    if http_status == 401:
        return Answer(Status.UNAUTHORISED, detail="HTTP 401")
    document = _parse(body)
    error = document.get("error") if isinstance(document, dict) else None
    if error is not None:
        return _of_error(error, http_status)
    if http_status == 403:
        return Answer(Status.UNAUTHORISED, detail="HTTP 403")
    if 200 <= http_status < 300:
        return _of_success(document)
    if http_status == 503:
        return Answer(Status.RETRYABLE, detail="HTTP 503: not available", again=True)
    if http_status == 408 or http_status >= 500:
        # A gateway that gives up does not know what the server behind it did.
        return Answer(Status.AMBIGUOUS, detail=f"HTTP {http_status} without a JSON-RPC error", again=True)
    return Answer(Status.REJECTED, detail=f"HTTP {http_status}")


def readable(body: bytes) -> str:
    """A reply as it may be kept: text, signed transactions blotted out, cut to `MAX_ANSWER_CHARS`."""
    text = _LONG_HEX.sub(lambda found: f"<{len(found.group())} characters of hex>", body.decode("utf-8", "replace"))
    return text[:MAX_ANSWER_CHARS]


def _parse(body: bytes) -> Any:
    try:
        return parse(body)
    except ValueError:
        return _UNKNOWN


def _of_error(error: Any, http_status: int) -> Answer:
    """`error` as an object with code and message, or a bare sentence."""
    code = error.get("code") if isinstance(error, dict) else None
    text = str(error.get("message", "")) if isinstance(error, dict) else str(error)
    detail = readable(text.encode())[:200]
    if code == _BAD_SIGNATURE or any(words in text.lower() for words in _SIGNATURE_TROUBLE):
        return Answer(Status.UNAUTHORISED, detail=detail)
    if code in (_INTERNAL_ERROR, _LIMIT_EXCEEDED):
        return Answer(Status.RETRYABLE, detail=detail, again=True)
    if http_status >= 500 and code is None:
        # A server in trouble that says so in a sentence: it did not judge the bundle.
        return Answer(Status.AMBIGUOUS, detail=f"HTTP {http_status}: {detail}", again=True)
    return Answer(Status.REJECTED, detail=detail)


def _of_success(document: Any) -> Answer:
    """A reply without an error under a 2xx status."""
    if not isinstance(document, dict):
        return Answer(Status.AMBIGUOUS, detail="a success that is not a JSON object")
    if "result" not in document:
        # One documented example lacks the JSON-RPC envelope.
        named = _hash_in(document)
        return Answer(Status.ACCEPTED, named) if named else Answer(Status.AMBIGUOUS, detail="neither result nor error")
    result = document["result"]
    named = _hash_in(result)
    if named or _says_taken(result):
        return Answer(Status.ACCEPTED, named)
    return Answer(Status.AMBIGUOUS, detail="a result of unknown shape")


def _says_taken(result: Any) -> bool:
    if isinstance(result, bool):
        return result
    if isinstance(result, int):
        return result in _TAKEN_NUMBERS
    if isinstance(result, str):
        return result.strip('"').lower() in _TAKEN_STRINGS
    return result is None or isinstance(result, dict | list)


def _hash_in(result: Any) -> bytes:
    """The bundle hash in a result: under its name, bare, or quoted once more; empty when there is none."""
    if isinstance(result, dict):
        result = result.get("bundleHash")
    if isinstance(result, str) and _HASH.match(result.strip('"')):
        return bytes.fromhex(result.strip('"')[2:])
    return b""
