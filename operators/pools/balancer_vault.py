"""Balancer V2's Vault, and what is asked of it and of a pool to learn the part of a state that pools of every kind have.

A pool's kind shows in the factory that made it, and the factory is asked: a pool that names itself one kind may run the code of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from operators.pools.base import AdmissionReason, AdmissionRefused, Found
from operators.pools.views import address_of, addresses_of, array_of, selector, uint_of, view, word, words_of
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.pools import AccountSlots
from schemas.reads import Reading, View

#: The Vault, at the same address on every chain.
VAULT = bytes.fromhex("ba12222222228d8ba445958a75a0704d566bf2c8")
#: Of every pool factory. The Vault's own `PoolRegistered` is passed over: anybody may register a pool there, and it tells no kind.
POOL_CREATED = bytes.fromhex("83a48fbcfc991335314e74d0496aab6a1987e992ddc85dddbcc4d6dd6ef2e9fc")
#: Slots of the Vault that every swap may read whatever it trades: the lock, and the pause beside the authorizer.
SWAP_SLOTS = (AccountSlots(address=VAULT, keys=(word(0), word(3))),)

#: Bits of a state's `paused`: the pool is, the Vault is.
POOL_PAUSED, VAULT_PAUSED = 1, 2

_GET_POOL_ID, _GET_VAULT = selector("getPoolId()"), selector("getVault()")
_GET_FEE, _GET_PAUSED = selector("getSwapFeePercentage()"), selector("getPausedState()")
_GET_TOKENS, _GET_TOKEN_INFO = selector("getPoolTokens(bytes32)"), selector("getPoolTokenInfo(bytes32,address)")
_GET_SCALING, _DECIMALS = selector("getScalingFactors()"), selector("decimals()")
_IS_FROM_FACTORY = selector("isPoolFromFactory(address)")
_QUERY_SWAP = selector(
    "queryBatchSwap(uint8,(bytes32,uint256,uint256,uint256,bytes)[],address[],(address,bool,address,bool))"
)
_MOST_DECIMALS = 18


class VaultFacts(NamedTuple):
    """What the Vault and a pool told, as a state has it. `scaling_factors` is what the pool itself says of them, with 18 more decimals and
    with the tokens' rates in it, None where the pool is too old to tell. `own` and `of_tokens` answer the questions of the pool's kind."""

    pool_id: bytes
    tokens: tuple[bytes, ...]
    scaling: tuple[int, ...]
    balances: tuple[int, ...]
    managed: tuple[int, ...]
    swap_fee: int
    paused: int
    scaling_factors: tuple[int, ...] | None
    own: tuple[bytes | None, ...]
    of_tokens: tuple[tuple[bytes | None, ...], ...]


def pool_address(pool_id: bytes) -> bytes:
    """The address that a pool id begins with: where a Vault's log belongs."""
    return pool_id[:20]


def announced_pools(logs: Sequence[Log], factory: FactoryConfig) -> tuple[bytes, ...]:
    """The pools of a factory's `PoolCreated`, in order, each once."""
    return tuple(
        dict.fromkeys(
            log.topics[1][12:]
            for log in logs
            if log.address == factory.address
            and len(log.topics) == 2
            and log.topics[0] == POOL_CREATED
            and not any(log.topics[1][:12])
        )
    )


def read_vault_pool(
    found: Found, factory: FactoryConfig | None, own: Sequence[View], of_token: Callable[[bytes], Sequence[View]]
) -> Reading[VaultFacts]:
    """Ask the pool and its factory, then the Vault which tokens there are, then for each token. Raises `AdmissionRefused`."""
    pool, shown = found.address, f"0x{found.address.hex()}"
    asked = [
        view(pool, _GET_POOL_ID), view(pool, _GET_VAULT), view(pool, _GET_FEE), view(pool, _GET_PAUSED),
        view(VAULT, _GET_PAUSED), view(pool, _GET_SCALING),
    ]  # fmt: skip
    if factory is not None:
        asked.append(view(factory.address, _IS_FROM_FACTORY, pool))
    pool_id, vault, fee, paused, vault_paused, scaling, *rest = yield (*asked, *own)
    if vault is None or address_of(vault) != VAULT or pool_id is None or pool_address(pool_id) != pool:
        raise AdmissionRefused(
            AdmissionReason.NOT_THIS_FAMILY, f"{shown} does not answer as a pool of the Balancer Vault"
        )
    if factory is None or uint_of(rest.pop(0)) != 1:
        maker = f"the factory {factory.name} did not make" if factory else "no configured factory made"
        raise AdmissionRefused(AdmissionReason.UNKNOWN_FACTORY, f"{maker} the pool {shown}")
    if uint_of(fee) is None or len(words_of(paused)) != 3 or len(words_of(vault_paused)) != 3:
        raise _bad(f"{shown} does not tell its fee or whether it is paused")
    (listed,) = yield (view(VAULT, _GET_TOKENS, pool_id),)
    tokens, balances = addresses_of(listed), array_of(listed, 1)
    if not tokens or balances is None or len(balances) != len(tokens):
        raise _bad(f"the Vault lists no tokens for {shown}")
    each = [
        (view(token, _DECIMALS), view(VAULT, _GET_TOKEN_INFO, pool_id, token), *of_token(token)) for token in tokens
    ]
    flat = yield tuple(read for reads in each for read in reads)
    size = len(each[0])
    answers = [flat[k : k + size] for k in range(0, len(flat), size)]
    infos = [words_of(info) for _, info, *_ in answers]
    if any(len(info) != 4 or info[0] + info[1] != balance for info, balance in zip(infos, balances, strict=True)):
        raise _bad(f"the Vault contradicts itself on the balances of {shown}")
    return VaultFacts(
        pool_id,
        tokens,
        tuple(_scaling(token, decimals) for token, (decimals, *_) in zip(tokens, answers, strict=True)),
        balances,
        tuple(info[1] for info in infos),
        uint_of(fee) or 0,
        (POOL_PAUSED if words_of(paused)[0] else 0) | (VAULT_PAUSED if words_of(vault_paused)[0] else 0),
        array_of(scaling),
        tuple(rest),
        tuple(answer[2:] for answer in answers),
    )


def probe(pool_id: bytes, sold: bytes, bought: bytes, amount: int) -> View:
    """A query of the Vault for one swap: it goes the way of a swap but for the transfers. It is no `view` by name, and reverts inside."""
    swap = pool_id + word(0) + word(1) + word(amount) + word(5 * 32) + word(0)
    swaps = word(1) + word(32) + swap
    assets = word(2) + word(sold) + word(bought)
    head = word(0) + word(7 * 32) + word(7 * 32 + len(swaps)) + bytes(4 * 32)
    return View(VAULT, _QUERY_SWAP + head + swaps + assets)


def _scaling(token: bytes, answer: bytes | None) -> int:
    """10**(18 - decimals): Balancer takes no token of more. Raises `AdmissionRefused`."""
    decimals = uint_of(answer)
    if decimals is None or decimals > _MOST_DECIMALS:
        raise _bad(f"token 0x{token.hex()} says it has {decimals} decimals")
    return int(10 ** (_MOST_DECIMALS - decimals))


def check_scaling(facts: VaultFacts, rates: Sequence[int]) -> None:
    """Hold what follows from decimals and rates (18 decimals, one without a rate) to what the pool says. Raises `AdmissionRefused`."""
    expected = tuple(scale * rate for scale, rate in zip(facts.scaling, rates, strict=True))
    if facts.scaling_factors not in (None, expected):
        raise _bad(f"pool id 0x{facts.pool_id.hex()} scales by {facts.scaling_factors}, its tokens by {expected}")


def _bad(detail: str) -> AdmissionRefused:
    return AdmissionRefused(AdmissionReason.BAD_STATE, detail)
