"""What Curve's pool factories announce: a pool's coins, not its address, which the factory's list tells."""

from __future__ import annotations

from collections.abc import Sequence

from operators.pools.base import AdmissionReason, AdmissionRefused, Found
from operators.pools.views import address_of, selector, uint_of, view, words_of
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.reads import Reading

#: PlainPoolDeployed with four coins, of the first factories, and with a list of them, of the next generation's; MetaPoolDeployed of both.
PLAIN_DEPLOYED = bytes.fromhex("5b4a28c940282b5bf183df6a046b8119cf6edeb62859f75e835eb7ba834cce8d")
PLAIN_NG_DEPLOYED = bytes.fromhex("d1d60d4611e4091bb2e5f699eeb79136c21ac2305ad609f3de569afc3471eecc")
META_DEPLOYED = bytes.fromhex("01f31cd2abdeb4e5e10ba500f2db0f937d9e8c735ab04681925441b4ea37eda5")

_POOL_COUNT, _POOL_LIST, _COINS = selector("pool_count()"), selector("pool_list(uint256)"), selector("coins(uint256)")


def announced_pools(
    logs: Sequence[Log], factory: FactoryConfig, topics: Sequence[bytes], family: str
) -> Reading[tuple[Found, ...]]:
    """The pools that these logs tell of: the last ones of the factory's list at the block of the last log, metapools included.

    That the list ends with them shows in their first coins. A list that does not (pools can be added to one without a log) is announced
    as a whole: a pool announced again is known already, one left out would be lost. Raises `AdmissionRefused` for a factory that keeps
    no list.
    """
    coins = [coin for log in logs if (coin := _first_coin(log, factory, topics)) is not None]
    if not coins:
        return ()
    (answer,) = yield (view(factory.address, _POOL_COUNT),)
    count = uint_of(answer)
    if not count:
        detail = f"the factory {factory.name} announced {len(coins)} pools and lists {count}"
        raise AdmissionRefused(AdmissionReason.BAD_STATE, detail)
    pools = yield from _listed(factory, range(max(count - len(coins), 0), count))
    answers = yield tuple(view(pool, _COINS, 0) for pool in pools)
    if [address_of(answer) for answer in answers] != coins:
        pools = yield from _listed(factory, range(count))
    return tuple(Found(family, pool, factory.address) for pool in dict.fromkeys(pools))


def _listed(factory: FactoryConfig, places: range) -> Reading[list[bytes]]:
    answers = yield tuple(view(factory.address, _POOL_LIST, place) for place in places)
    pools = [pool for answer in answers if (pool := address_of(answer)) is not None]
    if len(pools) != len(places):
        detail = f"the factory {factory.name} does not list its pools {places.start} to {places.stop - 1}"
        raise AdmissionRefused(AdmissionReason.BAD_STATE, detail)
    return pools


def _first_coin(log: Log, factory: FactoryConfig, topics: Sequence[bytes]) -> bytes | None:
    """The first coin of an announced pool; None for a log that is no announcement of this factory."""
    words = words_of(log.data)
    if log.address != factory.address or len(log.topics) != 1 or log.topics[0] not in topics:
        return None
    at = 0
    if log.topics[0] == PLAIN_NG_DEPLOYED:
        at = words[0] // 32 + 1 if words else 0
    return address_of(words[at].to_bytes(32, "big")) if at < len(words) else None
