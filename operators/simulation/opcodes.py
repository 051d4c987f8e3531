"""Which instructions a code can execute: a sweep that errs only towards more."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

BALANCE = 0x31
CODECOPY = 0x39
EXTCODECOPY = 0x3C
BLOCKHASH = 0x40
COINBASE = 0x41
TIMESTAMP = 0x42
NUMBER = 0x43
PREVRANDAO = 0x44
GASLIMIT = 0x45
CHAINID = 0x46
BASEFEE = 0x48
BLOBBASEFEE = 0x4A
_JUMPDEST = 0x5B
_PUSH1, _PUSH32 = 0x60, 0x7F
#: After these, execution goes on only at a JUMPDEST: STOP, JUMP, RETURN, REVERT, INVALID, SELFDESTRUCT.
_TERMINAL = frozenset((0x00, 0x56, 0xF3, 0xFD, 0xFE, 0xFF))


class CodeScan(NamedTuple):
    """The opcodes a code can execute (a superset), and where it can execute BASEFEE."""

    opcodes: frozenset[int]
    base_fee_at: tuple[int, ...]


@lru_cache(maxsize=4096)
def scan(code: bytes) -> CodeScan:
    """Sweep a code as the interpreter's jump analysis does.

    Execution starts at 0, moves in step with this sweep and jumps only to JUMPDESTs of it; so an instruction behind a
    terminal one, before the next JUMPDEST, cannot run. Most of what looks like opcodes in metadata falls away.
    """
    found: set[int] = set()
    base_fee_at: list[int] = []
    at, size, live = 0, len(code), True
    while at < size:
        opcode = code[at]
        live = live or opcode == _JUMPDEST
        if live:
            found.add(opcode)
            if opcode == BASEFEE:
                base_fee_at.append(at)
            live = opcode not in _TERMINAL
        at += opcode - 0x5E if _PUSH1 <= opcode <= _PUSH32 else 1
    return CodeScan(frozenset(found), tuple(base_fee_at))


def with_base_fee_as(code: bytes, carrier: int) -> bytes:
    """The code with every BASEFEE it can execute replaced by another instruction (of equal gas and stack effect)."""
    patched = bytearray(code)
    for at in scan(code).base_fee_at:
        patched[at] = carrier
    return bytes(patched)
