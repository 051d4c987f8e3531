"""`sluice discover` on a real node: found, admitted and refused by family, gone on with from where it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from infra.devnet.anvil import Anvil
from infra.devnet.contracts import call_data, creation_code, pair_address, pair_init_code_hash
from schemas.config import (
    ChainConfig,
    Config,
    ExecutorConfig,
    FactoryConfig,
    IngestConfig,
    PoolConfig,
    RuntimeConfig,
    dump_config,
)
from tests.chain.v3_market import V3Market

pytestmark = pytest.mark.chain

ETHER = 10**18


def discover(config: Config, folder: Path, *options: str) -> dict[str, object]:
    path = folder / "sluice.toml"
    path.write_text(dump_config(config))
    result = CliRunner().invoke(app, ["--config", str(path), "discover", "--json", *options])
    assert result.exit_code == 0, result.output
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


def test_pools_of_several_families_and_what_is_none(anvil: Anvil, tmp_path: Path) -> None:
    market = V3Market(anvil.node)
    market.create(0, 1, 3000)
    market.create(0, 2, 500)
    market.receipt(market.mint(0, 1, 3000, -600, 600, ETHER))
    factory = market.deploy(creation_code("UniswapV2Factory", ("address",), (bytes(20),)))
    unknown = market.deploy(creation_code("UniswapV2Factory", ("address",), (bytes(20),)))
    for each in (factory, unknown):
        market.receipt(market.send(each, call_data("createPair(address,address)", *market.tokens[:2])))
    v2 = FactoryConfig(name="v2", address=factory, init_code_hash=pair_init_code_hash())
    config = Config(
        chain=ChainConfig(id=31337, http_url=anvil.http_url, ws_url=anvil.ws_url, anchor=market.weth),
        ingest=IngestConfig(
            factories=(v2, market.config()),
            pools=(
                # Known from its factory anyway, made by a factory nobody configured, and no pool at all.
                PoolConfig(address=market.pool(0, 1, 3000)),
                PoolConfig(address=pair_address(unknown, *market.tokens[:2])),
                PoolConfig(address=market.weth),
            ),
        ),
        executor=ExecutorConfig(address=b"\xee" * 20, owner=b"\xef" * 20),
        runtime=RuntimeConfig(state_dir=tmp_path),
    )
    told = discover(config, tmp_path)
    assert told["families"] == {
        "uniswap_v2": {"found": 1, "admitted": 1, "refused": {}},
        "uniswap_v3": {"found": 2, "admitted": 2, "refused": {}},
        "unknown": {"found": 2, "admitted": 0, "refused": {"not_this_family": 1, "unknown_factory": 1}},
    }
    assert told["sources"] == {"v2": "logs", "uniswap_v3": "logs"}
    market.receipt(market.create(1, 2, 500))
    again = discover(config, tmp_path, "--search-only")
    assert again["families"] == {"uniswap_v2": {"found": 1}, "uniswap_v3": {"found": 3}, "unknown": {"found": 2}}
    # The blocks that came since, and nothing before them.
    assert int(str(again["requests"])) < 12


def test_a_node_of_another_chain_is_refused(anvil: Anvil, tmp_path: Path) -> None:
    config = Config(
        chain=ChainConfig(id=5, http_url=anvil.http_url, ws_url=anvil.ws_url, anchor=b"\1" * 20),
        executor=ExecutorConfig(address=b"\xee" * 20, owner=b"\xef" * 20),
    )
    path = tmp_path / "sluice.toml"
    path.write_text(dump_config(config))
    result = CliRunner().invoke(app, ["--config", str(path), "discover"])
    assert result.exit_code == 1 and "chain 31337" in result.output
