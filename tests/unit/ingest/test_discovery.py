"""The search of a factory's past against nodes of every temper: complete, gone on with after any end, never of another chain."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flows.ingest.discovery import Discovery, Source
from infra.chain.blocks import header_by_number
from infra.chain.errors import NodeError, NodeLied
from infra.chain.node import Node
from infra.chain.readings import Reader
from operators.ingest.listings import ALL_PAIRS, ALL_PAIRS_LENGTH
from operators.pools.base import Found
from operators.pools.uniswap_v2 import PAIR_CREATED_TOPIC
from schemas.config import FactoryConfig
from tests.unit.ingest.scripted_node import Refusal, ScriptedNode

FACTORY = FactoryConfig(name="fab", address=b"\xfa" * 20, init_code_hash=bytes(32), from_block=100)
HEAD = 20_000


def name(value: bytes) -> str:
    return "0x" + value.hex()


def pair(number: int) -> bytes:
    return (0xAB << 128 | number).to_bytes(20, "big")


class PastChain:
    """A chain on which the factory made a pair in every `every`-th block. `limit` bounds ranges, `results` logs."""

    def __init__(self, *, every: int = 97, limit: int | None = None, results: int | None = None, salt: int = 0) -> None:
        self.every, self.limit, self.results, self.salt = every, limit, results, salt
        self.branch: dict[int, int] = {}
        self.asked: list[tuple[int, int]] = []
        self.fail_after: int | None = None
        self.without: str = ""

    def hash_of(self, number: int) -> bytes:
        return b"%08d" % number + bytes([self.salt + self.branch.get(number, 0)]) * 24

    @property
    def pairs(self) -> list[bytes]:
        return [pair(n) for n in range(FACTORY.from_block, HEAD + 1) if n % self.every == 0]

    def __call__(self, method: str, params: list[Any]) -> Any:
        if self.without and method == self.without:
            raise Refusal(-32601, f"the method {method} does not exist/is not available")
        if method == "eth_getBlockByNumber":
            return self.header(int(params[0], 16))
        if method == "eth_call":
            return self.call(bytes.fromhex(params[0]["data"][2:]))
        assert method == "eth_getLogs"
        (query,) = params
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        assert query["address"] == name(FACTORY.address) and query["topics"] == [[name(PAIR_CREATED_TOPIC)]]
        if self.fail_after is not None and len(self.asked) >= self.fail_after:
            raise Refusal(-32000, "unauthorized")
        if self.limit is not None and last - first + 1 > self.limit:
            raise Refusal(-32005, f"block range too large: at most {self.limit} blocks")
        logs = [self.log(n) for n in range(first, last + 1) if n % self.every == 0]
        if self.results is not None and len(logs) > self.results:
            raise Refusal(-32005, f"query returned more than {self.results} results")
        self.asked.append((first, last))
        return logs

    def header(self, number: int) -> Any:
        if number > HEAD:
            return None
        zero, parent = name(bytes(32)), name(self.hash_of(number - 1)) if number else name(bytes(32))
        return {
            "number": hex(number), "hash": name(self.hash_of(number)), "parentHash": parent, "timestamp": hex(12 * number),
            "gasLimit": "0x1", "gasUsed": "0x0", "miner": name(bytes(20)), "mixHash": zero, "transactions": [],
        }  # fmt: skip

    def log(self, number: int) -> dict[str, Any]:
        return {
            "address": name(FACTORY.address), "data": name(bytes(12) + pair(number) + bytes(32)), "blockNumber": hex(number),
            "topics": [name(PAIR_CREATED_TOPIC), name(bytes(32)), name(bytes(32))], "blockHash": name(self.hash_of(number)),
            "transactionHash": name(bytes(32)), "transactionIndex": "0x0", "logIndex": "0x0", "removed": False,
        }  # fmt: skip

    def call(self, data: bytes) -> str:
        if data == ALL_PAIRS_LENGTH:
            return name(len(self.pairs).to_bytes(32, "big"))
        assert data[:4] == ALL_PAIRS
        return name(self.pairs[int.from_bytes(data[4:], "big")].rjust(32, b"\0"))


def search(chain: PastChain, folder: Path, *, steps: int = 10_000, factory: FactoryConfig = FACTORY) -> Any:
    """The pools found up to the head, in at most so many steps, and the search."""

    async def go(url: str) -> Any:
        async with Node(url, 60.0, attempts=2) as node:
            discovery = Discovery(node, Reader(node), 1, [factory], folder)
            try:
                head = await header_by_number(node, HEAD)
                assert head is not None
                found: list[Found] = list(await discovery.begin(head))
                for _ in range(steps):
                    if discovery.complete:
                        break
                    found += await discovery.step()
                return [pool.address for pool in found], discovery.searches[0], discovery.complete
            finally:
                discovery.close()

    with ScriptedNode(chain) as node:
        return asyncio.run(go(node.url))


@pytest.mark.parametrize(
    "limits",
    [{}, {"limit": 800}, {"limit": 3}, {"results": 5}, {"results": 1, "every": 4000}, {"limit": 2000, "results": 2}],
)
def test_every_pair_is_found_within_any_limits(tmp_path: Path, limits: dict[str, int]) -> None:
    if limits.get("limit") == 3:
        # One request for every three blocks: a shorter past will do.
        factory = FACTORY.model_copy(update={"from_block": HEAD - 600})
        chain = PastChain(**limits)
        found, _, complete = search(chain, tmp_path, factory=factory)
        assert complete and found == [p for p in chain.pairs if int.from_bytes(p[-4:], "big") >= HEAD - 600]
        return
    chain = PastChain(**limits)
    found, state, complete = search(chain, tmp_path)
    assert complete and found == chain.pairs and state.source is Source.LOGS
    assert state.done == state.total == HEAD + 1 - FACTORY.from_block


def test_a_search_that_is_ended_goes_on_where_it_was(tmp_path: Path) -> None:
    chain = PastChain(limit=700)
    first, state, complete = search(chain, tmp_path, steps=20)
    assert not complete and 0 < state.done < state.total
    reached = chain.asked[-1][1]
    found, _, complete = search(chain, tmp_path)
    assert complete and found == chain.pairs and found[: len(first)] == first
    assert [span for span in chain.asked if span[0] <= reached] == [s for s in chain.asked if s[1] <= reached]
    asked = len(chain.asked)
    assert search(chain, tmp_path)[0] == chain.pairs and len(chain.asked) == asked


def test_another_chain_behind_the_same_numbers_is_searched_anew(tmp_path: Path) -> None:
    search(PastChain(salt=1), tmp_path)
    other = PastChain(salt=2, every=89)
    found, _, complete = search(other, tmp_path)
    assert complete and found == other.pairs


def test_a_reorg_takes_back_the_steps_above_its_fork(tmp_path: Path) -> None:
    chain = PastChain(limit=1000)
    search(chain, tmp_path)
    chain.branch = dict.fromkeys(range(HEAD - 50, HEAD + 1), 1)
    asked = len(chain.asked)
    found, _, complete = search(chain, tmp_path)
    assert complete and found == chain.pairs
    assert 1 <= len(chain.asked) - asked <= 3


@pytest.mark.parametrize("missing", ["eth_getLogs", "blocks"])
def test_without_logs_of_the_past_the_factory_is_asked(tmp_path: Path, missing: str) -> None:
    chain = PastChain()
    if missing == "blocks":
        known = chain.header
        chain.header = lambda number: known(number) if number == HEAD else None  # type: ignore[method-assign]
    else:
        chain.without = missing
    found, state, complete = search(chain, tmp_path)
    assert complete and found == chain.pairs and state.source is Source.LISTING
    assert search(chain, tmp_path)[0] == chain.pairs


def test_a_node_that_refuses_even_single_blocks_is_not_asked_for_ever(tmp_path: Path) -> None:
    chain = PastChain()
    chain.fail_after = 3
    found, state, complete = search(chain, tmp_path)
    # Logs up to where the node stopped, then the list: nothing is missing, and what was found twice is the same pool.
    assert complete and state.source is Source.LISTING and set(found) == set(chain.pairs)


def test_logs_that_were_not_asked_for_are_a_lie(tmp_path: Path) -> None:
    chain = PastChain()
    honest = chain.log
    chain.log = lambda number: honest(number) | {"address": name(b"\xbb" * 20)}  # type: ignore[method-assign]
    with pytest.raises(NodeLied, match="log_mismatch"):
        search(chain, tmp_path)
    chain.log = lambda number: honest(number) | {"blockNumber": hex(HEAD + 5)}  # type: ignore[method-assign]
    with pytest.raises(NodeLied, match="log_mismatch"):
        search(chain, tmp_path)


def test_a_node_that_goes_away_costs_nothing(tmp_path: Path) -> None:
    chain = PastChain(limit=700)
    search(chain, tmp_path, steps=10)
    known = len(chain.asked)
    with pytest.raises(NodeError):

        async def away() -> None:
            async with Node("http://127.0.0.1:9", 60.0, attempts=1) as node:
                discovery = Discovery(node, Reader(node), 1, [FACTORY], tmp_path)
                try:
                    await discovery.begin(await header_by_number(node, HEAD))  # type: ignore[arg-type]
                finally:
                    discovery.close()

        asyncio.run(away())
    found, _, complete = search(chain, tmp_path)
    assert complete and found == chain.pairs and chain.asked[known][0] == chain.asked[known - 1][1] + 1


def test_a_factory_whose_past_begins_later_than_the_head(tmp_path: Path) -> None:
    found, state, complete = search(PastChain(), tmp_path, factory=FACTORY.model_copy(update={"from_block": HEAD + 5}))
    assert complete and found == [] and state.total == 0
