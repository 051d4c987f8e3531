"""Many storage slots of one contract in one call: the contract's code is replaced, for that call, by a program that returns slots.

State overrides of `eth_call` are no part of the execution API but of every common client's. A node that passes over the override
runs the contract itself, which does not answer with the program's mark, so the answer tells whether it was the program's.
"""

from __future__ import annotations

from collections.abc import Sequence

from infra.chain import hexes
from infra.chain.node import Call, call_of
from infra.chain.storage import at

#: Slots of one call: about 4.5 million gas cold (EIP-2929), below what any provider lets a call use.
SLOTS_PER_CALL = 2000

_MARK = bytes.fromhex("736c75696365")
# mem[0] = mark; for i in 0, 32 … calldatasize: mem[i + 32] = sload(calldata[i]); return mem[0 : calldatasize + 32]
_PROGRAM = bytes.fromhex(
    "65" + _MARK.hex() + "600052"  # PUSH6 mark, PUSH1 0, MSTORE
    "6000"  # PUSH1 0: i
    "5b"  # 0x0c JUMPDEST
    "803614602157"  # DUP1, CALLDATASIZE, EQ, PUSH1 0x21, JUMPI
    "803554"  # DUP1, CALLDATALOAD, SLOAD
    "81602001"  # DUP2, PUSH1 32, ADD
    "52"  # MSTORE
    "602001"  # PUSH1 32, ADD
    "600c56"  # PUSH1 0x0c, JUMP
    "5b"  # 0x21 JUMPDEST
    "6020016000f3"  # PUSH1 32, ADD, PUSH1 0, RETURN
)


def slots_call(account: bytes, keys: Sequence[bytes], block_hash: bytes) -> Call:
    """The request for these slots at a block; at most `SLOTS_PER_CALL`."""
    to = hexes.show(account)
    tx = {"to": to, "data": hexes.show(b"".join(keys))}
    return call_of(str, "eth_call", tx, at(block_hash), {to: {"code": hexes.show(_PROGRAM)}})


def slots_in(answer: bytes, count: int) -> list[bytes] | None:
    """The values in an answer, None where it is not the program's."""
    if len(answer) != 32 * (count + 1) or answer[:32] != _MARK.rjust(32, b"\0"):
        return None
    return [answer[start : start + 32] for start in range(32, len(answer), 32)]
