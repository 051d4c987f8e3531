"""What a transaction did to the state: the base of overlays for what is pending."""

from __future__ import annotations

from typing import NamedTuple


class Effects(NamedTuple):
    """What one transaction did to the state; empty where it was refused.

    `slots` has (address, key, value before, value after) of each slot read or written. `balances` maps accounts to wei
    before and after, where they differ (fees included). `accounts` are all that were read or written. Slots and accounts
    together are the transaction's own prestate.
    """

    slots: tuple[tuple[bytes, bytes, bytes, bytes], ...] = ()
    balances: dict[bytes, tuple[int, int]] = {}  # noqa: RUF012  (never written)
    accounts: tuple[bytes, ...] = ()

    def changed_slots(self) -> dict[bytes, dict[bytes, bytes]]:
        """The new values of the slots that changed, by account and key."""
        changed: dict[bytes, dict[bytes, bytes]] = {}
        for address, key, before, after in self.slots:
            if before != after:
                changed.setdefault(address, {})[key] = after
        return changed
