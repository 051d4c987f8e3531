"""What a token says of itself: symbol and decimals, which only people read."""

from __future__ import annotations

from collections.abc import Sequence

from infra.chain.readings import Reader
from schemas.pools import TokenInfo
from schemas.reads import View
from schemas.types import ZERO_ADDRESS

#: symbol() and decimals().
SYMBOL, DECIMALS = bytes.fromhex("95d89b41"), bytes.fromhex("313ce567")

#: The chain's own coin, which pools of a singleton name by the zero address.
NATIVE = TokenInfo(address=ZERO_ADDRESS, symbol="native", decimals=18)

_MAX_SYMBOL = 64


async def read_tokens(reader: Reader, tokens: Sequence[bytes], block_hash: bytes) -> list[TokenInfo]:
    """Symbol and decimals as each token tells them; empty and None where it does not."""
    views = [View(token, selector) for token in tokens if token != ZERO_ADDRESS for selector in (SYMBOL, DECIMALS)]
    answers = await reader.read(views, block_hash)
    return [
        NATIVE
        if token == ZERO_ADDRESS
        else TokenInfo(
            address=token,
            symbol=decode_symbol(answers[View(token, SYMBOL)]),
            decimals=decode_decimals(answers[View(token, DECIMALS)]),
        )
        for token in tokens
    ]


def decode_symbol(answer: bytes | None) -> str:
    """A symbol as an ABI string, or as the bytes32 of early tokens; printable characters only, since people will read it."""
    if not answer:
        return ""
    content = answer.rstrip(b"\0") if len(answer) == 32 else b""
    if len(answer) >= 64 and int.from_bytes(answer[:32], "big") == 32:
        length = int.from_bytes(answer[32:64], "big")
        content = answer[64 : 64 + min(length, 4 * _MAX_SYMBOL)]
    text = content.decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable() and c != "\N{REPLACEMENT CHARACTER}")[:_MAX_SYMBOL]


def decode_decimals(answer: bytes | None) -> int | None:
    """A uint8, None for anything else."""
    if answer is None or len(answer) != 32:
        return None
    number = int.from_bytes(answer, "big")
    return number if number < 256 else None
