"""JSON from strangers, read without letting its nesting reach the parser's stack.

A library below eth-account raises the interpreter's recursion limit to 100,000, where 60 kB of opening brackets overflow the C
stack and end the process instead of raising `RecursionError`. So the depth is looked at first.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 64

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_EMPTY_PAIR = re.compile(rb"\[\]|\{\}")
_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))


def parse(raw: bytes) -> Any:
    """The document. Raises `ValueError` for what is not UTF-8, not JSON, or nested deeper than `MAX_DEPTH`."""
    text = raw.decode("utf-8")
    if _too_deep(raw):
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return json.loads(text)


def _too_deep(raw: bytes) -> bool:
    """Whether brackets outside strings are left after as many levels as allowed are taken off, inside out."""
    brackets = _STRING.sub(b"", raw).translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = _EMPTY_PAIR.sub(b"", brackets)
    # What is left is deeper, or was never closed: then the parser would refuse it, but only after going down.
    return bool(brackets)
