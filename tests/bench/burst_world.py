"""The bench `burst` put together: the chain, a sequencer and a search that know it and a market of 10,000 pools, warm and waiting for the block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from flows.recorded_block import EXECUTOR
from infra.relays.signing import Signer
from operators.pools.records import packed_state
from operators.pools.uniswap_v2 import V2Pool
from operators.simulation.revert import ErrorTable
from schemas.blocks import BlockRecord
from schemas.config import (
    ChainConfig,
    Config,
    DecideConfig,
    ExecutorConfig,
    IngestConfig,
    PoolConfig,
    RuntimeConfig,
    SearchConfig,
    SecretRef,
)
from schemas.known import FACTORIES, WRAPPED_NATIVE
from schemas.pools import AccountSlots, PoolOp, PoolRecord, TokenInfo
from schemas.witness import AccountState, WitnessRecord
from tests.bench.burst_chain import BurstChain
from tests.bench.burst_intake import Intake, Written
from tests.bench.burst_search import SearchSide
from tests.bench.search_market import SearchMarket

_CHAIN = 1
#: USDC and USDT.
_DOLLARS = (
    bytes.fromhex("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"),
    bytes.fromhex("dac17f958d2ee523a2206206994597c13d831ec7"),
)
#: The slot of a pair in which Uniswap V2 keeps its reserves.
_RESERVES = (8).to_bytes(32, "big")
_AT_ONCE = 500
#: `Error("")`, as Solidity writes it.
_ERROR = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + bytes(32)
_FAMILIES = ("uniswap_v2", "uniswap_v3", "pancake_v3")


def config_of(chain: BurstChain, folder: Path) -> Config:
    """As a searcher on this chain has it: three anchors, the pools named, keys by reference."""
    return Config(
        chain=ChainConfig(
            id=_CHAIN,
            http_url=chain.node.http_url,
            ws_url=chain.node.ws_url,
            anchor=WRAPPED_NATIVE[_CHAIN],
            fork="Cancun",
            # It traces a block of 200 transactions by running each behind all before it, for seconds.
            request_timeout_s=120.0,
        ),
        ingest=IngestConfig(
            # The node has what the recorded blocks touched: a token they did not move in the way of a trial would be misjudged.
            judge_tokens_every=0,
            start_block=chain.start,
            pools=tuple(PoolConfig(address=pool) for pool in chain.pools),
            # The node has no past to be searched.
            factories=tuple(
                factory.model_copy(update={"from_block": 10**9})
                for factory in FACTORIES[_CHAIN]
                if factory.family in _FAMILIES
            ),
        ),
        executor=ExecutorConfig(address=EXECUTOR, owner=chain.owner),
        search=SearchConfig(anchors=(WRAPPED_NATIVE[_CHAIN], *_DOLLARS)),
        decide=DecideConfig(min_net_wei=1),
        runtime=RuntimeConfig(state_dir=folder / "state"),
    )


class BurstWorld(NamedTuple):
    """Sequencer and search, with everything they know in this process, and the log up to here. `real` are the pools of the node among all `pools`."""

    config: Config
    intake: Intake
    search: SearchSide
    log: list[Written]
    pools: int
    real: int


def burst_world(chain: BurstChain, folder: Path, pools: int) -> BurstWorld:
    """Both, after the block for warming up and some pending transactions behind it."""
    config = config_of(chain, folder)
    owner, identity = (Signer(SecretRef(ref=f"file:{chain.keys / name}")) for name in ("owner", "relay_identity"))
    search = SearchSide(config, owner, identity)
    log: list[Written] = []
    groups: list[Written] = []

    def follow() -> None:
        for group in groups:
            for _ in search.take(group):
                pass
        log.extend(groups)
        groups.clear()

    # The reader of revert data compiles each type once: on the first revert of its life.
    ErrorTable().decode(_ERROR)
    intake = Intake(config, groups.append)
    intake.settle()
    follow()
    real = sum(not record.refusal for record in intake.state.pools.values())
    others = list(_others(max(0, pools - real), intake.state.tip))
    for start in range(0, len(others), _AT_ONCE):
        intake.admit(others[start : start + _AT_ONCE])
        follow()
    intake.take_head(chain.mine(0))
    intake.take_pending(chain.warm)
    follow()
    return BurstWorld(config, intake, search, log, real + len(others), real)


def _others(count: int, tip: BlockRecord) -> Iterator[tuple[PoolRecord, WitnessRecord]]:
    """Pools of a made-up market at rest, of the shape of the real one and beside it: of its tokens only the wrapped native one is theirs, too."""
    made = SearchMarket(count)
    native = WRAPPED_NATIVE[_CHAIN]
    for pool in made.pools:
        yield _admission(_with_native(pool, made.anchors[0], native), tip)


def _with_native(pool: V2Pool, made_up: bytes, native: bytes) -> V2Pool:
    sides = [(token, reserve) for token, reserve in zip(pool.tokens, (pool.reserve0, pool.reserve1), strict=True)]
    (token0, reserve0), (token1, reserve1) = sorted((native if t == made_up else t, r) for t, r in sides)
    return msgspec.structs.replace(pool, token0=token0, token1=token1, reserve0=reserve0, reserve1=reserve1)


def _admission(pool: V2Pool, tip: BlockRecord) -> tuple[PoolRecord, WitnessRecord]:
    """As the sequencer admits a pair of plain tokens: its own slots, and of each token the balance of the pair."""
    balance = pool.address.rjust(32, b"\0")
    needs = tuple(
        AccountSlots(address, (key,))
        for address, key in sorted(((pool.address, _RESERVES), *((token, balance) for token in pool.tokens)))
    )
    stamp = {"chain": _CHAIN, "seq": 0, "parts": 2}
    record = PoolRecord(
        **stamp, part=0, op=PoolOp.ADD, family=pool.FAMILY, address=pool.address, factory=b"", tokens=tuple(
            TokenInfo(token, "T", 18) for token in pool.tokens
        ), state=packed_state(pool), seed=b"", block_number=tip.number, refusal="", detail="", needs=needs,
    )  # fmt: skip
    word = (pool.reserve0 | pool.reserve1 << 112).to_bytes(32, "big")
    accounts = tuple(
        AccountState(need.address, None, None, None, need.keys[0] + word)
        for need in needs
        if need.address == pool.address
    )
    witness = WitnessRecord(**stamp, part=1, block_number=tip.number, block_hash=tip.hash, accounts=accounts, codes=())
    return record, witness
