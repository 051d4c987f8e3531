"""Made pools and trades among recorded ones, on recorded code: see `large_block`."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import NamedTuple

from flows.world import ETHER
from infra.chain.keccak import keccak
from infra.devnet.contracts import call_data
from infra.devnet.genesis import Account
from infra.devnet.signer import Signer
from operators.pools.uniswap_v2 import pair_address
from schemas.config import FactoryConfig
from schemas.known import V2_FACTORIES, WRAPPED_NATIVE
from tests.bench.recorded_state import LOCK, RESERVES, TOKENS, mapped

_GAS, _MAX_FEE, _PRIORITY_FEE = 400_000, 50 * 10**9, 10**9
_NATIVE = WRAPPED_NATIVE[1]
_DAI = bytes.fromhex("6b175474e89094c44da98b954eedeac495271d0f")
_ROUTER = bytes.fromhex("7a250d5630b4cf539739df2c5dacb4c659f2488d")
_UNISWAP, _SUSHISWAP = (
    next(factory for factory in V2_FACTORIES[1] if factory.name == name) for name in ("uniswap_v2", "sushiswap")
)
#: Slots of the mappings of balances and allowances of Wrapped Ether and of Dai.
_NATIVE_SLOTS, _DAI_SLOTS = (3, 4), (2, 3)
_TWIN_EVERY = 2
#: Wei in a pair; what a swap puts in, as a part of the reserve; the same of the swaps that leave something, and of how many pools one is such.
_WORTH, _SMALL, _OPEN, _OPEN_EVERY = (40 * ETHER, 900 * ETHER), (1e-4, 9e-4), (0.015, 0.03), 24
#: Of a usual block: transactions, logs on average, and who sends them; the pairs that such a block changes.
_TRANSACTIONS, _LOGS, _USERS = 200, 450, 24
USUAL_PAIRS = 45
#: Logs of a swap over one pair, over two, of a transfer: a Transfer of each token, Sync and Swap.
_ONE, _TWO = 4, 7


class Pair(NamedTuple):
    """A made pair of a token and Wrapped Ether, in base units."""

    token: bytes
    address: bytes
    native_reserve: int
    token_reserve: int


def usual_blocks(accounts: dict[bytes, Account], pairs: Sequence[Pair], count: int) -> tuple[tuple[bytes, ...], ...]:
    """The transactions of so many blocks of a usual size that together change all of these pairs, by users who are put into the accounts."""
    users = [Signer.of_seed("usual blocks", number) for number in range(_USERS)]
    fund(accounts, users, pairs)
    raws = made_transactions(users, pairs, count * _TRANSACTIONS, count * _LOGS)
    return tuple(tuple(raws[start : start + _TRANSACTIONS]) for start in range(0, len(raws), _TRANSACTIONS))


def make_pairs(accounts: dict[bytes, Account], pair_of: bytes, count: int) -> tuple[list[Pair], list[bytes]]:
    """So many tokens with a pair each, put into the accounts with the code of the pair `pair_of`; the pairs, and the second ones beside some."""
    rng = random.Random(count)
    code, token_code = accounts[pair_of].code, accounts[_DAI].code
    pairs, twins = [], []
    for number in range(count):
        token = keccak(b"large block token" + bytes((number,)))[12:]
        accounts[token] = Account(nonce=1, code=token_code, storage={})
        native = int(rng.uniform(*_WORTH))
        pair = _put_pair(accounts, code, _UNISWAP, token, native, int(native * 10 ** rng.uniform(0, 4)))
        pairs.append(pair)
        if number % _TWIN_EVERY == 0:
            share = rng.uniform(0.2, 0.8)
            both = int(pair.native_reserve * share), int(pair.token_reserve * share)
            twins.append(_put_pair(accounts, code, _SUSHISWAP, token, *both).address)
    return pairs, twins


def _put_pair(
    accounts: dict[bytes, Account], code: bytes, factory: FactoryConfig, token: bytes, native: int, amount: int
) -> Pair:
    tokens = sorted((token, _NATIVE))
    address = pair_address(factory, *tokens)
    assert address is not None
    reserves = (native, amount) if tokens[0] == _NATIVE else (amount, native)
    held = {RESERVES: reserves[0] | reserves[1] << 112 | 1_700_000_000 << 224, LOCK: 1}
    held |= {slot: int.from_bytes(side, "big") for slot, side in zip(TOKENS, tokens, strict=True)}
    accounts[address] = Account(nonce=1, code=code, storage=held)
    _store(accounts, _NATIVE, {mapped(address, _NATIVE_SLOTS[0]): native})
    _store(accounts, token, {mapped(address, _DAI_SLOTS[0]): amount})
    return Pair(token, address, native, amount)


def fund(accounts: dict[bytes, Account], users: Sequence[Signer], pairs: Sequence[Pair]) -> None:
    """Ether and tokens for the users, and the router may take them."""
    for user in users:
        accounts[user.address] = Account(balance=1000 * ETHER)
    for token, slots in ((_NATIVE, _NATIVE_SLOTS), *((pair.token, _DAI_SLOTS) for pair in pairs)):
        own = {mapped(user.address, slots[0]): 10**26 for user in users}
        may = {_mapped_twice(user.address, _ROUTER, slots[1]): 2**256 - 1 for user in users}
        _store(accounts, token, own | may)


def _store(accounts: dict[bytes, Account], address: bytes, slots: Mapping[int, int]) -> None:
    account = accounts[address]
    accounts[address] = replace(account, storage={**(account.storage or {}), **slots})


def _mapped_twice(owner: bytes, spender: bytes, slot: int) -> int:
    outer = mapped(owner, slot).to_bytes(32, "big")
    return int.from_bytes(keccak(spender.rjust(32, b"\0") + outer), "big")


def made_transactions(users: Sequence[Signer], pairs: Sequence[Pair], count: int, logs: int) -> list[bytes]:
    """So many signed transactions with so many logs that change all of the pairs. Raises `ValueError` where there are no such."""
    kinds = _kinds(count, logs)
    trades = _Trades(pairs, users[0].address, logs)
    trades.rng.shuffle(kinds)
    nonces, raws = dict.fromkeys(users, 0), []
    for user, kind in zip(cycle(users), kinds, strict=False):
        to, payload = trades.call(kind, user.address)
        raws.append(
            user.sign(
                chain_id=1, nonce=nonces[user], to=to, payload=payload, gas=_GAS, max_fee=_MAX_FEE, max_priority_fee=_PRIORITY_FEE
            )
        )  # fmt: skip
        nonces[user] += 1
    if trades.turns < len(pairs):
        raise ValueError(f"{trades.turns} swaps do not change {len(pairs)} pools")
    return raws


class _Trades:
    """Calls that trade with one pair after the other."""

    def __init__(self, pairs: Sequence[Pair], payee: bytes, seed: int) -> None:
        self.rng = random.Random(seed)
        #: Pairs that had their turn so far.
        self.turns = 0
        self._pairs, self._payee = pairs, payee

    def call(self, kind: int, sender: bytes) -> tuple[bytes, bytes]:
        """Whom to call and with what, for so many logs."""
        if kind == 0:
            return self._payee, b""
        if kind == 1:
            return self._pairs[0].token, call_data("transfer(address,uint256)", self._payee, 1)
        share, pair = self._share(), self._next()
        if kind == _TWO:
            return self._swap(sender, int(pair.token_reserve * share), [pair.token, _NATIVE, self._next().token])
        if self.rng.random() < 0.5:
            return self._swap(sender, int(pair.token_reserve * share), [pair.token, _NATIVE])
        return self._swap(sender, int(pair.native_reserve * share), [_NATIVE, pair.token])

    def _share(self) -> float:
        """What is put in, as a part of the reserve of the pair whose turn it is."""
        first = self.turns < len(self._pairs)
        return self.rng.uniform(*(_OPEN if first and self.turns % _OPEN_EVERY == 0 else _SMALL))

    def _next(self) -> Pair:
        self.turns += 1
        return self._pairs[(self.turns - 1) % len(self._pairs)]

    @staticmethod
    def _swap(sender: bytes, amount: int, path: list[bytes]) -> tuple[bytes, bytes]:
        function = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
        return _ROUTER, call_data(function, amount, 0, path, sender, 2**255)


def _kinds(count: int, logs: int) -> list[int]:
    """The logs of each of so many transactions that have so many together: of swaps over one pair and over two, of transfers of a token and of
    ether; as many swaps as it goes."""
    for others in range(count):
        for transfers in range(others + 1):
            swaps = count - others
            twos, rest = divmod(logs - transfers - _ONE * swaps, _TWO - _ONE)
            if rest == 0 and 0 <= twos <= swaps:
                return [_ONE] * (swaps - twos) + [_TWO] * twos + [1] * transfers + [0] * (others - transfers)
    raise ValueError(f"no {count} transactions have {logs} logs")
