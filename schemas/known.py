"""Well-known deployments by chain id: facts of the chains, so that a user need not look them up.

Addresses and init code hashes are those of the deployers' own documentation; each hash is checked against real pairs by the
acceptance suite `reserves` (a pair's address is its CREATE2 address).
"""

from __future__ import annotations

from schemas.config import FactoryConfig

#: The wrapped native token, which routes start and end in.
WRAPPED_NATIVE: dict[int, bytes] = {
    1: bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"),
    59144: bytes.fromhex("e5d7c2a44ffddf6b295a15c148167daaaf5cf34f"),
}

#: Uniswap V2 and forks with the same pair.
V2_FACTORIES: dict[int, tuple[FactoryConfig, ...]] = {
    1: (
        FactoryConfig(
            name="uniswap_v2",
            address=bytes.fromhex("5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f"),
            init_code_hash=bytes.fromhex("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"),
        ),
        FactoryConfig(
            name="sushiswap",
            address=bytes.fromhex("c0aee478e3658e2610c5f7a4a2e1777ce9e4f2ac"),
            init_code_hash=bytes.fromhex("e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303"),
        ),
    ),
}
