"""What an execution read, as the node's tracer tells it: read quickly by the extension where that is built and the answer is as usual, and
by `decode_prestate`, which also says what is wrong with one, where not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from infra.chain.answers import Prestate
from infra.chain.native import sluice_evm
from infra.chain.node import Call, Quick
from infra.chain.prestate import AccountChange, decode_prestate, state_of
from schemas.witness import AccountState

if TYPE_CHECKING:
    from sluice_evm import Prestate as PlainPrestate

#: Whole accounts, in order, as a packed witness without codes.
Pack = Callable[[Iterable[AccountState]], bytes]


class PackedRead(NamedTuple):
    """State as a packed witness without codes, and the codes of its accounts by hash. `whole`: no account that is read is missing."""

    packed: bytes
    codes: Mapping[bytes, bytes]
    whole: bool = True


class Read(Protocol):
    """What one execution read."""

    def changes(self) -> dict[bytes, AccountChange]:
        """All accounts it touched, whole; the caller's own to change."""

    def packed(self, sender: bytes, nonce: int, pack: Pack) -> PackedRead:
        """The same with this nonce of the sender, if the execution read that."""


@dataclass(frozen=True)
class ToldRead:
    """A read that was decoded here. `whole`: no account is missing."""

    told: dict[bytes, AccountChange]
    whole: bool = True

    def changes(self) -> dict[bytes, AccountChange]:
        """See `Read`."""
        return self.told

    def packed(self, sender: bytes, nonce: int, pack: Pack) -> PackedRead:
        """See `Read`."""
        own = self.told.get(sender)
        state = state_of(self.told if own is None else {**self.told, sender: replace(own, nonce=nonce)})
        return PackedRead(pack(state.accounts), state.codes, self.whole)


@dataclass(frozen=True)
class PlainRead:
    """A read that the extension took as it came."""

    plain: PlainPrestate

    def changes(self) -> dict[bytes, AccountChange]:
        """See `Read`."""
        return {address: AccountChange(*view) for address, view in self.plain.accounts().items()}

    def packed(self, sender: bytes, nonce: int, pack: Pack) -> PackedRead:
        """See `Read`. The extension packs by itself, to the same bytes."""
        return PackedRead(*self.plain.pack(sender, nonce))


# Remembers the codes of contracts, which come with trace after trace.
_reader = None if sluice_evm is None else sluice_evm.TraceReader()
_quick = None if _reader is None else Quick(_reader.prestate, _reader.prestates)


def read_call(method: str, *params: Any) -> Call:
    """A request with `prestateTracer`; its answer is for `read_of`."""
    return Call(Prestate, method, params, _quick)


def read_of(answer: Prestate | PlainPrestate) -> Read:
    """The answer to a `read_call`. Raises `NodeLied(malformed)`."""
    return ToldRead(decode_prestate(answer)) if isinstance(answer, dict) else PlainRead(answer)
