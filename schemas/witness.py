"""Topic `witness`: the state that simulations read. What is not in a witness is unknown, never zero."""

from __future__ import annotations

from schemas.record import Part, Sequenced
from schemas.types import Address, Hash, Uint, Word


class AccountState(Part, frozen=True):
    """What is known of one account. None means: this record says nothing of the field.

    `slots` packs storage as 64-byte pairs (key word, value word), sorted by key, so that it goes to an engine without a
    detour through Python integers. `code_hash` is the keccak of the code (that of the empty string for plain accounts).
    An account known not to exist has `nonce` 0, `balance` 0 and the hash of empty code.
    """

    address: Address
    nonce: Uint | None
    balance: Word | None
    code_hash: Hash | None
    slots: bytes


class WitnessRecord(Sequenced, frozen=True):
    """State as of the end of block `block_hash`; values are absolute. `codes` are the contract codes (content-addressed
    by keccak) that no earlier witness of this chain is known to have carried.

    `accounts` are what a block changed or a pool needs, and may leave fields open. `packed` is a state that a simulation starts from
    as it is, in the engines' packed form (see `docs/engines.md`), without codes: a pending transaction's prestate. Empty where there is none.
    `whole`: every account that is read is in it, so that one that is not does not exist, as a trace tells it; what an access list tells may lack some.
    """

    TOPIC = "witness"
    VERSION = 3

    block_number: Uint
    block_hash: Hash
    accounts: tuple[AccountState, ...]
    codes: tuple[bytes, ...]
    packed: bytes = b""
    whole: bool = True


GOLDEN = WitnessRecord(
    chain=1, seq=7, part=3, parts=4, block_number=19_932_148, block_hash=b"\x05" * 32,
    accounts=(
        AccountState(address=b"\x06" * 20, nonce=1, balance=bytes(32),
                     code_hash=bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
                     slots=(8).to_bytes(32, "big") + (10**30).to_bytes(32, "big")),
        AccountState(address=b"\x0a" * 20, nonce=None, balance=(10**19).to_bytes(32, "big"), code_hash=None, slots=b""),
    ),
    codes=(b"",), packed=b"SLWT\x01" + bytes(8),
)  # fmt: skip
