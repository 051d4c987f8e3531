"""Views of contracts as reads, and the words of their answers: None for an answer that has not the shape asked for."""

from __future__ import annotations

from operators.simulation.hashes import keccak
from schemas.reads import View

WORD = 32


def selector(signature: str) -> bytes:
    """The first four bytes of a call of `name(types)`."""
    return keccak(signature.encode())[:4]


def view(to: bytes, function: bytes, *arguments: int | bytes) -> View:
    """A call with arguments of one word each: unsigned integers, and addresses or fixed bytes as they are in a word."""
    return View(to, function + b"".join(map(word, arguments)))


def word(value: int | bytes) -> bytes:
    """An unsigned integer, an address (20 bytes) or 32 bytes as an ABI word."""
    return value.to_bytes(WORD, "big") if isinstance(value, int) else value.rjust(WORD, b"\0")


def words_of(answer: bytes | None) -> tuple[int, ...]:
    """All words of an answer; none where it failed or is no whole number of words."""
    if answer is None or len(answer) % WORD:
        return ()
    return tuple(int.from_bytes(answer[k : k + WORD], "big") for k in range(0, len(answer), WORD))


def uint_of(answer: bytes | None) -> int | None:
    """An answer of one word."""
    words = words_of(answer)
    return words[0] if len(words) == 1 else None


def address_of(answer: bytes | None) -> bytes | None:
    """An answer of one address that is not zero."""
    return _address(uint_of(answer) or 0)


def array_of(answer: bytes | None, position: int = 0) -> tuple[int, ...] | None:
    """The dynamic array whose offset stands at this word of an answer."""
    words = words_of(answer)
    if position >= len(words) or words[position] % WORD:
        return None
    start = words[position] // WORD
    if start >= len(words) or start + 1 + words[start] > len(words):
        return None
    return words[start + 1 : start + 1 + words[start]]


def addresses_of(answer: bytes | None, position: int = 0) -> tuple[bytes, ...] | None:
    """The same of addresses; None also where one is zero or wider than an address."""
    numbers = array_of(answer, position)
    if numbers is None:
        return None
    found = tuple(address for number in numbers if (address := _address(number)) is not None)
    return found if len(found) == len(numbers) else None


def _address(number: int) -> bytes | None:
    return number.to_bytes(20, "big") if 0 < number < 1 << 160 else None
