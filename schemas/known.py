"""Well-known deployments by chain id: facts of the chains, so that a user need not look them up.

Addresses and init code hashes are those of the deployers' own documentation. Init code hashes are checked against pools of the chain
(a pool's address is its CREATE2 address), wherever recorded pools are there. `from_block` is the block of the factory's deployment, or a little
before it: searching some blocks too many costs nothing.
"""

from __future__ import annotations

from schemas.config import FactoryConfig, Family, PoolConfig

#: The wrapped native token, which routes start and end in.
WRAPPED_NATIVE: dict[int, bytes] = {
    1: bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"),
    59144: bytes.fromhex("e5d7c2a44ffddf6b295a15c148167daaaf5cf34f"),
}


def _factory(
    name: str,
    family: Family,
    address: str,
    from_block: int,
    *,
    init_code: str = "",
    deployer: str = "",
    fee_pips: int = 3000,
    variant: str = "",
) -> FactoryConfig:
    return FactoryConfig(
        name=name,
        family=family,
        address=bytes.fromhex(address),
        init_code_hash=bytes.fromhex(init_code) or None,
        deployer=bytes.fromhex(deployer) or None,
        fee_pips=fee_pips,
        variant=variant,
        from_block=from_block,
    )


_V3_POOL = "e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54"

#: Every factory we know, by chain.
FACTORIES: dict[int, tuple[FactoryConfig, ...]] = {
    1: (
        _factory(
            "uniswap_v2", "uniswap_v2", "5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f", 10_000_835,
            init_code="96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f",
        ),
        _factory(
            "sushiswap", "uniswap_v2", "c0aee478e3658e2610c5f7a4a2e1777ce9e4f2ac", 10_794_229,
            init_code="e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303",
        ),
        _factory(
            "pancakeswap_v2", "uniswap_v2", "1097053fd2ea711dad45caccc45eff7548fcb362", 15_614_590, fee_pips=2500,
            init_code="57224589c67f3f30a6b0d7a1b54cf3153ab84563bc609ef41dfb34f8b2974d2d",
        ),
        _factory(
            "uniswap_v3", "uniswap_v3", "1f98431c8ad98523631ae4a59f267346ea31f984", 12_369_621, init_code=_V3_POOL
        ),
        _factory(
            "pancakeswap_v3", "pancake_v3", "0bfbcf9fa4f9c56b0f40a671ad40e0805a091865", 16_900_000,
            deployer="41ff9aa7e16b8b1a8a8dc4f0efacd93d02d071c9",
            init_code="6ce8eb472fa82df5469c6ab6d485f17c3ad13c8cd7af59b3d4a8026c5ce0f7e2",
        ),
        _factory("uniswap_v4", "uniswap_v4", "000000000004444c5dc75cb358380d2e3de08a90", 21_688_329),
        _factory("balancer_weighted_v1", "balancer_v2_weighted", "8e9aa87e45e92bad84d5f8dd1bff34fb92637de9", 12_272_146, variant="v1"),
        _factory("balancer_weighted_2_tokens", "balancer_v2_weighted", "a5bf2ddf098bb0ef6d120c98217dd6b141c74ee0", 12_349_891, variant="v1"),
        _factory("balancer_weighted_v2", "balancer_v2_weighted", "cc508a455f5b0073973107db6a878ddbdab957bc", 15_480_000, variant="v2"),
        _factory("balancer_weighted_v3", "balancer_v2_weighted", "5dd94da3644ddd055fcf6b3e1aa310bb7801eb8b", 16_520_627, variant="v2"),
        _factory("balancer_weighted_v4", "balancer_v2_weighted", "897888115ada5773e02aa29f775430bfb5f34c51", 16_878_323, variant="v2"),
        _factory("balancer_meta_stable", "balancer_v2_stable", "67d27634e44793fe63c467035e31ea8635117cd4", 13_000_000, variant="meta"),
        _factory("balancer_composable_v2", "balancer_v2_stable", "85a80afee867adf27b50bdb7b76da70f1e853062", 16_000_000, variant="composable"),
        _factory("balancer_composable_v3", "balancer_v2_stable", "dba127fbc23fb20f5929c546af220a991b5c6e01", 16_520_627, variant="composable"),
        _factory("balancer_composable_v4", "balancer_v2_stable", "fada0f4547ab2de89d1304a668c39b3e09aa7c76", 16_878_679, variant="composable"),
        _factory("balancer_composable_v5", "balancer_v2_stable", "db8d758bcb971e482b2c45f7f8a7740283a1bd3a", 17_643_198, variant="composable"),
        _factory("balancer_composable_v6", "balancer_v2_stable", "5b42ec6d40f7b7965be5308c70e2603c0281c1e9", 19_314_764, variant="composable"),
        _factory("curve_stableswap_ng", "curve_ng", "6a8cbed756804b16e05e741edabd5cb544ae21bf", 18_400_000),
    ),
}  # fmt: skip

#: Uniswap V2 and forks with the same pair.
V2_FACTORIES: dict[int, tuple[FactoryConfig, ...]] = {
    chain: tuple(factory for factory in factories if factory.family == "uniswap_v2")
    for chain, factories in FACTORIES.items()
}

#: Pools of Curve that no factory made and no log announces, of code that is known (see docs/curve-and-balancer.md).
POOLS: dict[int, tuple[PoolConfig, ...]] = {
    1: tuple(
        PoolConfig(address=bytes.fromhex(pool), family="curve")
        for pool in (
            "bebc44782c7db0a1a60cb6fe97d0b483032ff1c7",  # 3pool
            "a5407eae9ba41422680e2e00537571bcc53efbfd",  # sUSD
        )
    ),
}
