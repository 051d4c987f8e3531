"""Known deployments: complete for their families, and right where recorded pools can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from infra.chain.keccak import keccak
from operators.pools import FAMILIES
from schemas.config import FactoryConfig
from schemas.known import FACTORIES, POOLS, V2_FACTORIES
from tests.shared_data import needs_data, recorded

RECORDINGS = ("24693611", "24699608", "24721174")
#: The recordings' names of what our factories made.
SYSTEMS = {
    "uniswap_v2": "uniswap_v2",
    "sushiswap_v2": "sushiswap",
    "pancakeswap_v2": "pancakeswap_v2",
    "uniswap_v3": "uniswap_v3",
    "pancakeswap_v3": "pancakeswap_v3",
}


@pytest.mark.parametrize("chain", FACTORIES)
def test_factories_are_told_apart_and_have_a_family(chain: int) -> None:
    factories = FACTORIES[chain]
    assert all(factory.family in FAMILIES and factory.from_block for factory in factories)
    assert max(Counter(factory.name for factory in factories).values()) == 1
    assert max(Counter((factory.address, factory.family) for factory in factories).values()) == 1
    assert set(V2_FACTORIES[chain]) <= set(factories) and V2_FACTORIES[chain]
    assert all(len(pool.address) == 20 for pool in POOLS.get(chain, ()))


def components(value: Any) -> Iterator[dict[str, Any]]:
    """Every pool's description in a recording."""
    if isinstance(value, dict):
        if "protocol_system" in value and "tokens" in value and "id" in value:
            yield value
        for each in value.values():
            yield from components(each)
    elif isinstance(value, list):
        for each in value:
            yield from components(each)


def address_of(factory: FactoryConfig, tokens: list[bytes], fee: int) -> bytes:
    """Where the factory puts the pool of two tokens (EIP-1014)."""
    if factory.family == "uniswap_v2":
        salt = keccak(b"".join(tokens))
    else:
        salt = keccak(b"".join(word.rjust(32, b"\0") for word in (*tokens, fee.to_bytes(32, "big"))))
    assert factory.init_code_hash is not None
    return keccak(b"\xff" + (factory.deployer or factory.address) + salt + factory.init_code_hash)[12:]


@needs_data
@pytest.mark.parametrize("block", RECORDINGS)
def test_init_code_hashes_give_the_addresses_of_recorded_pools(block: str) -> None:
    by_name = {factory.name: factory for factory in FACTORIES[1]}
    seen: Counter[str] = Counter()
    for pool in components(recorded(f"propeller-heads__fynd/market_recording_{block}.json.xz")):
        factory = by_name.get(SYSTEMS.get(pool["protocol_system"], ""))
        if factory is None:
            continue
        tokens = sorted(bytes.fromhex(token["address"][2:]) for token in pool["tokens"])
        fee = int(pool["static_attributes"]["fee"], 16)
        assert address_of(factory, tokens, fee) == bytes.fromhex(pool["id"][2:]), (factory.name, pool["id"])
        seen[factory.name] += 1
    assert min(seen[name] for name in ("uniswap_v2", "sushiswap", "uniswap_v3", "pancakeswap_v3")) > 10
