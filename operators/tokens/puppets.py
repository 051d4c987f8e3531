"""Small contracts that stand in an account for the length of an experiment, so that it does what the experiment says.

They are put over accounts of a witness (and of a trace, by state override); nothing of this is ever deployed. The calls that come
out of them are like any other: the token sees the account as `msg.sender`, and our owner as `tx.origin`.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple


def _stand_in(name: str) -> bytes:
    """An address that nobody has: of a hash that no key and no contract leads to."""
    return blake2b(b"sluice token experiment: " + name.encode(), digest_size=20).digest()


#: Runs the script; puppets obey it alone.
CONDUCTOR = _stand_in("conductor")
#: A contract that nobody knows, and a plain account that does not exist yet.
STRANGER = _stand_in("stranger")
ACCOUNT = _stand_in("account")

#: Gas of one step. Bounds what a step that burns all of it can take from the next one.
STEP_GAS = 1_200_000


class Step(NamedTuple):
    """One call: `puppet` calls `to` with `data`. An empty `puppet`: the conductor itself does."""

    puppet: bytes
    to: bytes
    data: bytes


class Answer(NamedTuple):
    """What a call returned, or reverted with."""

    success: bool
    data: bytes


def _code(*lines: str) -> bytes:
    return bytes.fromhex("".join(line.partition("|")[0] for line in lines))


#: Calldata: for each step the called address (32 bytes), a length (32 bytes) and as many bytes. Returns for each step whether it
#: succeeded (32 bytes), a length (32 bytes) and as many bytes of answer. The stack holds where to write to (m) and where to read from (i).
CONDUCTOR_CODE = _code(
    "6000 6000            | m=0 i=0",
    "5b                   | 0x04 loop",
    "36 81 10 15 61 0046 57 | past the end: done",
    "80 6020 01 35        | len = calldata[i+32]",
    "80 82 6040 01 84 37  | memory[m..] = calldata[i+64..]",
    f"6000 6000 82 85 6000 86 35 62 {STEP_GAS:06x} f1 | call(gas, calldata[i], 0, m, len, 0, 0)",
    "83 52                | memory[m] = success",
    "3d 83 6020 01 52     | memory[m+32] = size of the answer",
    "3d 6000 84 6040 01 3e | memory[m+64..] = the answer",
    "01 6040 01           | i += len + 64",
    "90 3d 01 6040 01 90  | m += size + 64",
    "6004 56",
    "5b 50 6000 f3        | 0x46 done: return memory[0..m]",
)

#: Calldata from the conductor: the called address (32 bytes), then the call's data. Returns or reverts with the called one's answer.
_ACT = (
    "6020 36 03           | len",
    "80 6020 6000 37      | memory[0..] = calldata[32..]",
    "6000 6000 82 6000 6000 6000 35 5a f1 | call(gas, calldata[0], 0, 0, len, 0, 0)",
    "3d 6000 6000 3e      | memory[0..] = the answer",
)


def puppet(original: bytes) -> bytes:
    """Obeys the conductor; called by anybody else it is the contract it stands for, whose code is to be at `original`."""
    return _code(
        f"33 73 {CONDUCTOR.hex()} 14 60 50 57 | the conductor: act",
        "36 6000 6000 37",
        f"6000 6000 36 6000 73 {original.hex()} 5a f4 | delegatecall the original code",
        "3d 6000 6000 3e",
        "604b 57 3d 6000 fd",
        "5b 3d 6000 f3        | 0x4b return the answer",
        "5b                   | 0x50 act",
        *_ACT,
        "604b 57 3d 6000 fd",
    )


#: Obeys the conductor; called by anybody else it says so with an empty log and answers `true`. The log comes out of a call to itself:
#: within a static call it fails, and must not take the caller's gas with it.
LISTENER_CODE = _code(
    f"33 73 {CONDUCTOR.hex()} 14 60 41 57 | the conductor: act",
    "33 30 14 60 3a 57    | itself: log",
    "6000 6000 6000 6000 6000 30 61 1388 f1 50",
    "6001 6000 52 6020 6000 f3",
    "5b 6000 6000 a0 00   | 0x3a log",
    "5b                   | 0x41 act",
    *_ACT,
    "6067 57 3d 6000 fd",
    "5b 3d 6000 f3        | 0x67 return the answer",
)


def original_of(account: bytes) -> bytes:
    """Where the code of an account goes while a puppet stands in it."""
    return blake2b(b"sluice token experiment: code of " + account, digest_size=20).digest()


def script(steps: tuple[Step, ...]) -> bytes:
    """The conductor's calldata."""
    out = b""
    for step in steps:
        to, data = (step.puppet, step.to.rjust(32, b"\0") + step.data) if step.puppet else (step.to, step.data)
        out += to.rjust(32, b"\0") + len(data).to_bytes(32, "big") + data
    return out


def answers(output: bytes) -> tuple[Answer, ...]:
    """What the conductor returned. Raises `ValueError` where that is no such list."""
    found: list[Answer] = []
    at = 0
    while at < len(output):
        size = int.from_bytes(output[at + 32 : at + 64], "big")
        end = at + 64 + size
        if end > len(output):
            raise ValueError(f"answer {len(found)} ends at {end} of {len(output)} bytes")
        found.append(Answer(any(output[at : at + 32]), output[at + 64 : end]))
        at = end
    return tuple(found)
