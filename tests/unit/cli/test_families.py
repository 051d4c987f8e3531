"""The families that a configuration names: what no family is called, and what a family needs, is said with its key before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cli.config import problems_of
from flows.discover import Watcher, run_discovery
from flows.families import check_families
from flows.ingest import run_ingest
from flows.search import market_settings
from infra.runtime.drain import Drain
from operators.pools import FAMILIES
from schemas.config import (
    ChainConfig,
    Config,
    ConfigError,
    ExecutorConfig,
    FactoryConfig,
    IngestConfig,
    PoolConfig,
    SearchConfig,
    dump_config,
)
from schemas.known import FACTORIES, POOLS

ADDRESS = b"\x5c" * 20


def config(
    factories: tuple[FactoryConfig, ...] = (),
    pools: tuple[PoolConfig, ...] = (),
    corrections: dict[str, int] | None = None,
) -> Config:
    return Config(
        chain=ChainConfig(id=1, http_url="http://node", ws_url="ws://node", anchor=ADDRESS),
        executor=ExecutorConfig(address=ADDRESS, owner=ADDRESS),
        ingest=IngestConfig(factories=factories, pools=pools),
        search=SearchConfig(gas_corrections=corrections or {}),
    )


def test_everything_known_is_accepted() -> None:
    for chain in FACTORIES:
        check_families(config(FACTORIES[chain], POOLS.get(chain, ()), dict.fromkeys(FAMILIES, 1)))


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (config((FactoryConfig(name="f", family="unheard_of", address=ADDRESS),)), "ingest.factories.0.family: no pool family is called 'unheard_of'"),
        (config(pools=(PoolConfig(address=ADDRESS), PoolConfig(address=ADDRESS, family="x"))), "ingest.pools.1.family: no pool family is called 'x'"),
        (config(corrections={"uniswap_v5": 5}), "search.gas_corrections.uniswap_v5: no pool family is called 'uniswap_v5'"),
    ],
)  # fmt: skip
def test_a_name_that_no_family_has_is_an_error_of_its_key(wrong: Config, line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check_families(wrong)
    assert f"\n  {line}; there are balancer_v2_stable, " in str(caught.value)
    path = tmp_path / "sluice.toml"
    path.write_text(dump_config(wrong))
    assert any(problem.strip().startswith(line) for problem in problems_of(path))


@pytest.mark.parametrize("family", sorted(name for name, family in FAMILIES.items() if family.CREATE2))
def test_a_family_whose_addresses_are_computed_needs_the_hash(family: str) -> None:
    factory = FactoryConfig(name="f", family=family, address=ADDRESS)
    with pytest.raises(ConfigError, match=rf"ingest\.factories\.0\.init_code_hash: a factory of {family} needs it"):
        check_families(config((factory,)))
    check_families(config((factory.model_copy(update={"init_code_hash": bytes(32)}),)))


def test_other_families_do_not() -> None:
    for name, family in FAMILIES.items():
        if not family.CREATE2:
            check_families(config((FactoryConfig(name="f", family=name, address=ADDRESS),)))


def test_whoever_uses_the_configuration_says_it_at_the_start() -> None:
    wrong = config((FactoryConfig(name="f", family="unheard_of", address=ADDRESS),))
    with pytest.raises(ConfigError, match="unheard_of"):
        run_ingest(wrong, Drain())
    with pytest.raises(ConfigError, match="unheard_of"):
        run_discovery(wrong, Watcher(), read=False)
    with pytest.raises(ConfigError, match="unheard_of"):
        market_settings(wrong)


def test_a_name_is_short_and_plain() -> None:
    for name in ("", "Uniswap", "a b", "x" * 65):
        with pytest.raises(ValueError, match="family"):
            FactoryConfig(name="f", family=name, address=ADDRESS)
