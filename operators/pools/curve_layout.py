"""Where Curve's known pool contracts keep their state: slots and constants of deployed code, compared with it in an EVM.

Vyper counts variables in the order of their declaration. Before 0.3 an array lies at the hash of its slot, since then in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from operators.pools.views import word
from operators.simulation.hashes import keccak
from schemas.pools import AccountSlots

_E18, _E30 = 10**18, 10**30
_ADDRESS = (1 << 160) - 1
#: The lock of a pool compiled by the first Vypers.
_OLD_LOCK = 0xFFFFFF


def array_at(slot: int) -> int:
    """Where the first entry of an array is, for compilers before 0.3."""
    return int.from_bytes(keccak(word(slot)), "big")


class PlainState(NamedTuple):
    """What the slots of a plain pool hold."""

    coins: tuple[bytes, ...]
    balances: tuple[int, ...]
    fee: int
    admin_fee: int
    token: bytes
    killed: bool
    ramp: tuple[int, int, int, int]


class PlainLayout(NamedTuple):
    """A plain pool: `rates` bring base units to 18 decimals and are constants of the code, as the number of coins is. `coins` and
    `balances` are the slots of the first of each. `admin_fee` is behind `fee`. `amp` is (initial, future, start, end), or A alone."""

    rates: tuple[int, ...]
    coins: int
    balances: int
    fee: int
    amp: tuple[int, ...]
    token: int
    killed: int = 15
    lock: int = _OLD_LOCK

    def state_slots(self) -> tuple[int, ...]:
        """What a state is read from, in the order that `state` takes."""
        n = range(len(self.rates))
        lists = [self.coins + k for k in n] + [self.balances + k for k in n]
        return (*lists, self.fee, self.fee + 1, self.token, self.killed, *self.amp)

    def state(self, answers: Sequence[bytes | None]) -> PlainState:
        """The words of these slots."""
        n = len(self.rates)
        numbers = [int.from_bytes(answer or b"", "big") for answer in answers]
        coins, balances = numbers[:n], numbers[n : 2 * n]
        fee, admin_fee, token, killed, *amp = numbers[2 * n :]
        ramp = (amp[0], amp[1], amp[2], amp[3]) if len(amp) == 4 else (amp[0], amp[0], 0, 0)
        # A slot of an address is an address wide.
        addresses = tuple((coin & _ADDRESS).to_bytes(20, "big") for coin in (*coins, token))
        return PlainState(addresses[:n], tuple(balances), fee, admin_fee, addresses[n], killed != 0, ramp)

    def swap_slots(self) -> tuple[int, ...]:
        """What an exchange reads."""
        n = len(self.rates)
        lists = [slot + k for slot in (self.coins, self.balances) for k in range(n)]
        return (self.fee, self.fee + 1, *self.amp, self.killed, self.lock, *lists)


PLAIN = {
    "3pool": PlainLayout((_E18, _E30, _E30), array_at(0), array_at(1), 2, (6, 7, 8, 9), 5),
    "susd": PlainLayout((_E18, _E30, _E30, _E18), array_at(0), array_at(2), 4, (3,), 7),
    # ETH/sETH, as its code is.
    "base": PlainLayout((_E18, _E18), array_at(0), array_at(1), 2, (6, 7, 8, 9), 5),
}


class NgState(NamedTuple):
    """What the slots of a next-generation pool hold; balances are what is stored less the admin's."""

    balances: tuple[int, ...]
    ramp: tuple[int, int, int, int]
    fee: int
    offpeg_multiplier: int
    supply: int


class NgLayout(NamedTuple):
    """A next-generation pool: lists are a length and eight places."""

    lock: int = 0
    stored: int = 2
    fee: int = 0xA
    offpeg_multiplier: int = 0xB
    amp: tuple[int, int, int, int] = (0xC, 0xD, 0xE, 0xF)
    admin: int = 0x11
    oracles: int = 0x1A
    last_prices: int = 0x23
    #: The last invariants, the two times of the averages, and when they were last taken.
    averages: tuple[int, int, int, int] = (0x2B, 0x2C, 0x2D, 0x2E)
    supply: int = 0x31

    def state_slots(self, n: int) -> tuple[int, ...]:
        """What a state of `n` coins is read from, in the order that `state` takes."""
        lists = [self.stored + k for k in range(n)] + [self.admin + k for k in range(n)]
        return (*lists, *self.amp, self.fee, self.offpeg_multiplier, self.supply)

    def state(self, answers: Sequence[bytes | None], n: int) -> NgState:
        """The words of these slots."""
        numbers = [int.from_bytes(answer or b"", "big") for answer in answers]
        initial, future, start, end, fee, offpeg_multiplier, supply = numbers[2 * n :]
        balances = tuple(stored - admin for stored, admin in zip(numbers[:n], numbers[n : 2 * n], strict=True))
        return NgState(balances, (initial, future, start, end), fee, offpeg_multiplier, supply)

    def swap_slots(self, n: int) -> tuple[int, ...]:
        """What an exchange reads."""
        lists = [
            first + k for first, length in ((self.stored, n), (self.admin, n), (self.oracles, n), (self.last_prices, n - 1))
            for k in range(-1, length)
        ]  # fmt: skip
        return (self.lock, self.fee, self.offpeg_multiplier, *self.amp, *self.averages, *lists)


NG = NgLayout()


def account(address: bytes, slots: Iterable[int]) -> tuple[AccountSlots, ...]:
    """Slots of one account as they are declared."""
    return (AccountSlots(address=address, keys=tuple(word(slot) for slot in sorted(set(slots)))),)
