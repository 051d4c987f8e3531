"""Which accounts and slots the log keeps fresh: what the pools' simulations read, and our own accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from schemas.pools import AccountSlots

Slots = frozenset[bytes] | None


def as_needs(slots: Mapping[bytes, frozenset[bytes]]) -> tuple[AccountSlots, ...]:
    """Accounts and slots as a pool record lists them: sorted."""
    return tuple(AccountSlots(address=a, keys=tuple(sorted(slots[a]))) for a in sorted(slots))


def as_slots(needs: Iterable[AccountSlots]) -> dict[bytes, frozenset[bytes]]:
    """The inverse of `as_needs`."""
    return {entry.address: frozenset(entry.keys) for entry in needs}


class TrackedState:
    """The union of what several owners (pools, ourselves) need; a slot is dropped when its last owner is."""

    def __init__(self) -> None:
        self._needs: dict[bytes, dict[bytes, frozenset[bytes]]] = {}
        self._slots: dict[bytes, Counter[bytes]] = {}
        self._accounts: Counter[bytes] = Counter()
        self._whole: set[bytes] = set()
        self._frozen: dict[bytes, Slots] = {}
        self._known: dict[bytes, frozenset[bytes]] = {}
        self._size = 0
        # Accounts whose slots changed since they were last frozen: thousands of pools share a token, and each one's admission must not
        # copy the slots of all.
        self._stale: dict[bytes, None] = {}

    def track_whole(self, account: bytes) -> None:
        """Keep every slot of this account that ever changes."""
        self._whole.add(account)
        self._frozen[account] = None

    def put(self, owner: bytes, needs: Mapping[bytes, frozenset[bytes]]) -> None:
        """Replace what an owner needs."""
        self.drop(owner)
        self._needs[owner] = dict(needs)
        for account, keys in needs.items():
            self._accounts[account] += 1
            self._slots.setdefault(account, Counter()).update(keys)
            self._stale[account] = None

    def drop(self, owner: bytes) -> None:
        """Forget an owner."""
        for account, keys in self._needs.pop(owner, {}).items():
            self._accounts[account] -= 1
            left = self._slots[account]
            left.subtract(keys)
            for key in [k for k in keys if left[k] <= 0]:
                del left[key]
            self._stale[account] = None

    def _freshen(self) -> None:
        for account in self._stale:
            self._size -= len(self._known.get(account, ()))
            if self._accounts[account] > 0:
                self._known[account] = frozenset(self._slots[account])
                self._size += len(self._known[account])
                if account not in self._whole:
                    self._frozen[account] = self._known[account]
            else:
                del self._accounts[account]
                self._slots.pop(account, None)
                self._known.pop(account, None)
                if account not in self._whole:
                    self._frozen.pop(account, None)
        self._stale.clear()

    @property
    def accounts(self) -> Mapping[bytes, Slots]:
        """Slots to keep by account; None: all of them."""
        self._freshen()
        return self._frozen

    @property
    def size(self) -> int:
        """How many slots are named, of all accounts together."""
        self._freshen()
        return self._size

    def accounts_of(self, owner: bytes) -> frozenset[bytes]:
        """The accounts one owner needs."""
        return frozenset(self._needs.get(owner, ()))

    def known_slots(self, account: bytes) -> frozenset[bytes]:
        """The slots of an account that somebody named."""
        self._freshen()
        return self._known.get(account, frozenset())
