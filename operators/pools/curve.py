"""Curve's plain stableswap pools of two to four coins: the first generations (3pool, sUSD) and the template since A has a precision.

What is outside: pools whose rates come from elsewhere (lending, metapools), crypto pools, unknown code, coins that are not ERC-20: `read`
names the reason. The arithmetic still works where the rates are given, which checks use. What changes a pool without a log (`kill_me`,
`donate_admin_fees`) is left to the comparison with the chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from operators.pools.base import AdmissionReason, AdmissionRefused, BadLog, BadLogReason, Found
from operators.pools.curve_factories import META_DEPLOYED, PLAIN_DEPLOYED
from operators.pools.curve_layout import PLAIN, account
from operators.pools.curve_math.ramp import fixed
from operators.pools.curve_math.stable import Form
from operators.pools.stableswap import NATIVE_COIN, Contract, CurveRefusal, StableSwap
from operators.pools.views import address_of, selector, uint_of, view, word
from operators.pools.words import Reverts
from operators.simulation.hashes import keccak
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.pools import AccountSlots
from schemas.reads import Code, Reading, Slot, View

CONTRACTS: dict[str, Contract] = {
    "susd": Contract(
        Form(1, guarded=True, must_converge=False), spare=0, view_converts_first=True, rebuilds_balances=True
    ),
    "3pool": Contract(Form(1, must_converge=False), view_converts_first=True),
    "base": Contract(Form(100)),
}

#: keccak256 of runtime code that has been compared with this arithmetic, and the implementation it is.
KNOWN_CODE: dict[bytes, str] = {
    bytes.fromhex("106e99a4bbc1496b2de7bcd09b6db6343e2a1a67a646327528406a465c3f87b4"): "susd",
    bytes.fromhex("954a1e212c557c85043985931498ffa3e2fcbe7dfe9cd61513f36eb47d6f4dfc"): "3pool",
    bytes.fromhex("61794a44efb2e8910c44c3723372acde22fa47ea2950aa55f2c6b6d604791b4d"): "base",  # ETH/sETH
}


_TOTAL_SUPPLY = selector("totalSupply()")
_INDEX_TYPES = ("uint256", "int128")
_MOST_COINS = 4
#: Views that a pool of another kind answers, and the kind. Aave's pools have an off-peg fee too, so that alone says nothing.
_KINDS: tuple[tuple[str, CurveRefusal], ...] = (
    ("gamma()", CurveRefusal.CRYPTO), ("base_pool()", CurveRefusal.METAPOOL), ("BASE_POOL()", CurveRefusal.METAPOOL),
    ("base_virtual_price()", CurveRefusal.METAPOOL), ("oracle_method()", CurveRefusal.RATE_ORACLE),
    ("stored_rates()", CurveRefusal.RATE_ORACLE),
)  # fmt: skip


def _signs(pool: bytes) -> tuple[View, ...]:
    """What to ask of code that may not be known: its coins and the coins under them by either type of index, and the signs of its kind."""
    lists = [
        view(pool, selector(f"{name}({index})"), k)
        for name in ("coins", "underlying_coins")
        for index in _INDEX_TYPES
        for k in range(_MOST_COINS)
    ]
    kinds = [view(pool, selector(name)) for name, _ in _KINDS]
    return (*lists, *kinds, view(pool, selector("N_COINS()")), view(pool, selector("offpeg_fee_multiplier()")))


def _unknown(answers: Sequence[bytes | None]) -> tuple[tuple[bytes, ...], CurveRefusal]:
    """The coins of unknown code and why it is not modelled. No coins: it is no pool of this family."""
    by_uint, by_int, under_by_uint, under_by_int = (
        tuple(coin for answer in answers[k : k + _MOST_COINS] if (coin := address_of(answer)) is not None)
        for k in range(0, 4 * _MOST_COINS, _MOST_COINS)
    )
    coins, under = by_uint or by_int, under_by_uint or under_by_int
    kinds, (n_coins, offpeg) = answers[4 * _MOST_COINS : -2], answers[-2:]
    if len(coins) < 2 or (uint_of(n_coins) and uint_of(offpeg) is not None):
        return (), CurveRefusal.UNKNOWN_IMPLEMENTATION
    for answer, (_, refusal) in zip(kinds, _KINDS, strict=True):
        if answer:
            return coins, refusal
    if under and under != coins:
        return coins, CurveRefusal.LENDING
    return coins, CurveRefusal.UNKNOWN_IMPLEMENTATION


# ---------------------------------------------------------------- events (first topics; [n] is the number of coins)

TOKEN_EXCHANGE = bytes.fromhex("8b3e96f2b889fa771c53c981b40daf005f63f637f1869f707052d15a3dd97140")
TOKEN_EXCHANGE_UNDERLYING = bytes.fromhex("d013ca23e77a65003c2c659c5442c00c805371b7fc1ebd4c206c41d1536bd90b")
ADD_LIQUIDITY = {
    2: bytes.fromhex("26f55a85081d24974e85c6c00045d0f0453991e95873f52bff0d21af4079a768"),
    3: bytes.fromhex("423f6495a08fc652425cf4ed0d1f9e37e571d9b9529b1c1c23cce780b2e7df0d"),
    4: bytes.fromhex("3f1915775e0c9a38a57a7bb7f1f9005f486fb904e1f84aa215364d567319a58d"),
}
REMOVE_LIQUIDITY = {
    2: bytes.fromhex("7c363854ccf79623411f8995b362bce5eddff18c927edc6f5dbbb5e05819a82c"),
    3: bytes.fromhex("a49d4cf02656aebf8c771f5a8585638a2a15ee6c97cf7205d4208ed7c1df252d"),
    4: bytes.fromhex("9878ca375e106f2a43c3b599fc624568131c4c9a4ba66a14563715763be9d59d"),
}
REMOVE_LIQUIDITY_IMBALANCE = {
    2: bytes.fromhex("2b5508378d7e19e0d5fa338419034731416c4f5b219a10379956f764317fd47e"),
    3: bytes.fromhex("173599dbf9c6ca6f7c3b590df07ae98a45d74ff54065505141e7de6c46a624c2"),
    4: bytes.fromhex("b964b72f73f5ef5bf0fdc559b2fab9a7b12a39e47817a547f1f0aee47febd602"),
}
#: With the amount burned and paid; the later one adds the supply. Neither says which coin.
REMOVE_LIQUIDITY_ONE = bytes.fromhex("9e96dd3b997a2a257eec4df9bb6eaf626e206df5f543bd963682d143300be310")
REMOVE_LIQUIDITY_ONE_SUPPLY = bytes.fromhex("5ad056f2e28a8cec232015406b843668c1e36cda598127ec3b8c59b8c72773a0")
RAMP_A = bytes.fromhex("a2b71ec6df949300b59aab36b55e189697b750119dd349fcfa8c0f779e83c254")
STOP_RAMP_A = bytes.fromhex("46e22fb3709ad289f62ce63d469248536dbc78d82b84a3d7e74ad606dc201938")
NEW_FEE = bytes.fromhex("be12859b636aed607d5230b2cc2711f68d70e51060e6cca1f575ef5d2fcc95d1")
NEW_PARAMETERS = bytes.fromhex("752a27d1853eb7af3ee4ff764f2c4a51619386af721573dd3809e929c39db99e")

_TOPICS = (
    TOKEN_EXCHANGE, TOKEN_EXCHANGE_UNDERLYING, *ADD_LIQUIDITY.values(), *REMOVE_LIQUIDITY.values(),
    *REMOVE_LIQUIDITY_IMBALANCE.values(), REMOVE_LIQUIDITY_ONE, REMOVE_LIQUIDITY_ONE_SUPPLY, RAMP_A, STOP_RAMP_A, NEW_FEE,
    NEW_PARAMETERS,
)  # fmt: skip


class CurvePool(StableSwap, frozen=True):
    """A plain pool. Make one with `from_plain`, which checks the limits; the rest keeps them."""

    FAMILY: ClassVar[str] = "curve"
    LOG_TOPICS: ClassVar[tuple[bytes, ...]] = _TOPICS
    #: 3pool 97,000, the sUSD pool 111,000 to 119,000.
    GAS: ClassVar[int] = 105_000
    LEAST_GAS: ClassVar[int] = GAS
    MAX_COINS: ClassVar[int] = 4
    FACTORY_TOPICS: ClassVar[tuple[bytes, ...]] = (PLAIN_DEPLOYED, META_DEPLOYED)
    CONTRACTS: ClassVar[Mapping[str, Contract]] = CONTRACTS
    PLAIN: ClassVar[tuple[type, ...]] = (bytes, tuple, tuple, str, tuple, tuple, int, int, int, int, str)

    @classmethod
    def read(cls, found: Found, factory: FactoryConfig | None, timestamp: int) -> Reading[Self]:
        """By the pool's code: known code says which slots hold the state; for any other the pool's own views say why it is not modelled.
        Raises `AdmissionRefused`."""
        pool = found.address
        code, *signs = yield (Code(pool), *_signs(pool))
        implementation = KNOWN_CODE.get(keccak(code or b""))
        if implementation is not None:
            return (yield from cls._read_known(pool, implementation, timestamp))
        coins, refusal = _unknown(signs)
        if not coins:
            detail = f"0x{pool.hex()} does not answer as a Curve pool of the first generations"
            raise AdmissionRefused(AdmissionReason.NOT_THIS_FAMILY, detail)
        return cls._unmodelled(pool, coins, refusal, timestamp)

    @classmethod
    def _read_known(cls, pool: bytes, implementation: str, timestamp: int) -> Reading[Self]:
        layout = PLAIN[implementation]
        answers = yield tuple(Slot(pool, word(slot)) for slot in layout.state_slots())
        state = layout.state(answers)
        (total,) = yield (view(state.token, _TOTAL_SUPPLY),)
        supply = uint_of(total)
        if supply is None:
            detail = f"the token 0x{state.token.hex()} of pool 0x{pool.hex()} does not tell its supply"
            raise AdmissionRefused(AdmissionReason.BAD_STATE, detail)
        refusal = CurveRefusal.KILLED.value if state.killed else ""
        if NATIVE_COIN in state.coins:
            refusal = CurveRefusal.NATIVE_COIN.value
        return cls(
            pool, state.coins, layout.rates, implementation, state.balances, state.ramp, state.fee, state.admin_fee,
            supply, timestamp, refusal,
        )._admitted()  # fmt: skip

    def slots(self) -> tuple[AccountSlots, ...]:
        """What an exchange reads of the pool, by its code's layout; nothing for code that is not known."""
        layout = PLAIN.get(self.implementation)
        return account(self.address, layout.swap_slots()) if layout else ()

    def _applied(self, topic: bytes, log: Log) -> Self:
        n = len(self.tokens)
        if topic in (TOKEN_EXCHANGE, TOKEN_EXCHANGE_UNDERLYING):
            # In a pool without lending the coins are their own underlying ones.
            return self._exchanged(*self._words(log, 2, 4))
        if topic == ADD_LIQUIDITY.get(n):
            words = self._words(log, 2, 2 * n + 2)
            return self._liquidity(words[:n], words[n : 2 * n], words[-1], deposit=True)
        if topic == REMOVE_LIQUIDITY.get(n):
            words = self._words(log, 2, 2 * n + 1)
            return self._liquidity(words[:n], [0] * n, words[-1], deposit=False)
        if topic == REMOVE_LIQUIDITY_IMBALANCE.get(n):
            words = self._words(log, 2, 2 * n + 2)
            return self._liquidity(words[:n], words[n : 2 * n], words[-1], deposit=False)
        if topic in (REMOVE_LIQUIDITY_ONE, REMOVE_LIQUIDITY_ONE_SUPPLY):
            return self._withdrew(*self._words(log, 2, 3 if topic == REMOVE_LIQUIDITY_ONE_SUPPLY else 2)[:2])
        if topic == RAMP_A:
            return self._owned(ramp=tuple(self._words(log, 1, 4)))
        if topic == STOP_RAMP_A:
            return self._owned(ramp=fixed(self._words(log, 1, 2)[0])[:])
        if topic == NEW_FEE:
            fee, admin_fee = self._words(log, 1, 2)
            return self._owned(fee=fee, admin_fee=admin_fee)
        if topic == NEW_PARAMETERS:
            amp, fee, admin_fee = self._words(log, 1, 3)
            return self._owned(ramp=fixed(amp)[:], fee=fee, admin_fee=admin_fee)
        raise BadLog(BadLogReason.WRONG_TOPIC, f"an event of another number of coins than {n}")

    def _withdrew(self, burned: int, paid: int) -> Self:
        """The event leaves out the coin: it is the one for which this state pays exactly that."""
        matching = []
        for i in range(len(self.tokens)):
            try:
                amount, fee = self.withdraw_one(burned, i)
            except Reverts:
                continue
            if amount == paid:
                matching.append((i, fee))
        if len(matching) != 1:
            raise BadLog(
                BadLogReason.CONTRADICTS_STATE, f"{len(matching)} coins would pay {paid} for {burned} pool tokens"
            )
        ((i, fee),) = matching
        return self._withdrew_one(i, burned, paid, fee)
