"""A balance that somebody named, and how a transaction changes it."""

from __future__ import annotations

from typing import NamedTuple

#: In a token's place: the chain's own coin.
NATIVE = b""


class Holding(NamedTuple):
    """An account's balance of a token (20 bytes, or `NATIVE`)."""

    token: bytes
    account: bytes


class BalanceChange(NamedTuple):
    """A holding in base units before and after a transaction; None where the state does not tell (or the token does not answer)."""

    token: bytes
    account: bytes
    before: int | None
    after: int | None

    @property
    def change(self) -> int | None:
        """After less before, None where one of them is unknown."""
        return None if self.before is None or self.after is None else self.after - self.before
