"""Accounts as nodes tell them and as witnesses carry them: what is new of one, and a `prestateTracer` answer as whole ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from infra.chain import hexes
from infra.chain.answers import Prestate, TracedBefore
from infra.chain.keccak import EMPTY_CODE_HASH, keccak
from schemas.witness import AccountState

_CODES_KEPT, _CODE_END = 512, 80


@dataclass
class AccountChange:
    """What is known to be new of an account. None and absent: unchanged."""

    nonce: int | None = None
    balance: int | None = None
    code: bytes | None = None
    slots: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing is new."""
        return self.nonce is None and self.balance is None and self.code is None and not self.slots


@dataclass(frozen=True)
class State:
    """Accounts with the codes behind their hashes; which codes a witness carries is decided when it is stamped."""

    accounts: tuple[AccountState, ...]
    codes: dict[bytes, bytes]


def pack_slots(slots: Mapping[bytes, bytes]) -> bytes:
    """Storage in the witness form: 64-byte key and value pairs, sorted by key."""
    return b"".join(key + slots[key] for key in sorted(slots))


def account_state(address: bytes, change: AccountChange, codes: dict[bytes, bytes]) -> AccountState:
    """The record of a change; its code, if any, is added to `codes`."""
    code_hash = None
    if change.code is not None:
        code_hash = _code_hash(change.code) if change.code else EMPTY_CODE_HASH
        codes[code_hash] = change.code
    return AccountState(
        address=address,
        nonce=change.nonce,
        balance=None if change.balance is None else change.balance.to_bytes(32, "big"),
        code_hash=code_hash,
        slots=pack_slots(change.slots),
    )


def state_of(changes: Mapping[bytes, AccountChange]) -> State:
    """Changes as witness accounts, sorted by address."""
    codes: dict[bytes, bytes] = {}
    accounts = tuple(account_state(a, changes[a], codes) for a in sorted(changes) if not changes[a].empty)
    return State(accounts, codes)


# ---------------------------------------------------------------- what an execution read


def decode_prestate(prestate: Prestate) -> dict[bytes, AccountChange]:
    """All accounts an execution touched, whole: absent fields mean zero, not unknown."""
    out: dict[bytes, AccountChange] = {}
    for text, account in prestate.items():
        out[hexes.address(text)] = AccountChange(
            nonce=hexes.uint(account.nonce),
            balance=hexes.quantity(account.balance),
            code=_code(account.code) if account.code else b"",
            slots=_storage(account),
        )
    return out


# The same contracts come with trace after trace, and the text of a router's code is 48 kB (a code has 24 kB at most, EIP-170). Known ones are
# found by their length and end, which the compiler's hash of the source makes different, and compared: that is ten times faster than
# hashing all of a text, which a dictionary would do.
_codes: dict[tuple[int, str], tuple[str, bytes]] = {}
_code_hash = lru_cache(_CODES_KEPT)(keccak)


def _code(text: str) -> bytes:
    name = len(text), text[-_CODE_END:]
    known = _codes.get(name)
    if known is not None and known[0] == text:
        return known[1]
    code = hexes.data(text)
    _codes.pop(name, None)
    _codes[name] = text, code
    if len(_codes) > _CODES_KEPT:
        del _codes[next(iter(_codes))]
    return code


def _storage(account: TracedBefore) -> dict[bytes, bytes]:
    return {hexes.word(key): hexes.word(value) for key, value in (account.storage or {}).items()}
