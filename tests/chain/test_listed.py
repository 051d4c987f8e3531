"""What transactions and pools read by access lists, on a real node: what traces tell, to the same verdicts, where the state at the head is completed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from flows.ingest.admission import Admitter
from flows.ingest.candidates import found_of
from infra.chain import blocks
from infra.chain.blocks import Header
from infra.chain.errors import HeadMoved, RpcError
from infra.chain.listed import METHOD, Lists, OwnSlots
from infra.chain.reads import PackedRead
from infra.chain.tracing import At, reads
from infra.chain.transactions import decode
from infra.devnet.devnet import Devnet
from infra.devnet.node import Node as DevnetNode
from infra.devnet.node import quantity, to_hex
from infra.devnet.signer import Signer
from infra.ingest.call_reads import CallReads
from infra.ingest.pending_events import pending_record, transaction_of
from operators.simulation.engines import make_engine
from operators.simulation.packed import unpack
from schemas.config import ChainConfig, Config, ExecutorConfig, FactoryConfig, IngestConfig, PoolConfig
from schemas.opportunities import VerdictKind
from schemas.pending import PendingRecord
from schemas.pools import PoolRecord
from tests.bench.told_ways import Outcome, Way, WeighedNode, env_of, outcome, tell
from tests.chain.bending_proxy import Bend, BendingProxy, without

pytestmark = pytest.mark.chain

ETHER, GWEI = 10**18, 10**9
#: Uniswap V2's price accumulators.
ACCUMULATORS = {(slot).to_bytes(32, "big") for slot in (9, 10)}


class Listing(NamedTuple):
    """A market, what is pending in it at `at`, and its pools as they are admitted by traces."""

    devnet: Devnet
    header: Header
    at: At
    pending: list[PendingRecord]
    pools: dict[bytes, PoolRecord]

    def own_slots(self, address: bytes) -> frozenset[bytes]:
        record = self.pools.get(address)
        return (
            frozenset(key for need in record.needs if need.address == address for key in need.keys)
            if record
            else frozenset()
        )

    def told(
        self, url: str, way: Callable[[WeighedNode], Way], records: list[PendingRecord]
    ) -> list[PackedRead | None]:
        async def ask(node: WeighedNode) -> list[PackedRead | None]:
            return (await tell(node, way(node), records, self.at, 32))[0]

        return on(url, ask)

    def traced(self) -> list[PackedRead]:
        found = self.told(self.devnet.anvil.http_url, lambda node: partial(reads, node), self.pending)
        return [read for read in found if read is not None]

    def listed(self, own_slots: OwnSlots, url: str = "") -> list[PackedRead | None]:
        way = lambda node: Lists(node, own_slots).reads  # noqa: E731
        return self.told(url or self.devnet.anvil.http_url, way, self.pending)

    def outcomes(self, found: list[PackedRead]) -> list[Outcome]:
        env, engine = env_of(31337, "Prague", self.header, self.at), make_engine("auto")
        return [outcome(engine, env, record, read) for record, read in zip(self.pending, found, strict=True)]


def on(url: str, work: Callable[[WeighedNode], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        async with WeighedNode(url, 10.0) as node:
            return await work(node)

    return asyncio.run(run())


def admitted(devnet: Devnet, header: Header, url: str) -> dict[bytes, PoolRecord]:
    """All pools as a node at `url` has them admitted."""
    v2, v3 = devnet.market.factories, devnet.v3
    assert v3 is not None
    pools = [*(p.address for p in devnet.market.pairs), *(p.address for p in v3.pools)]
    config = Config(
        chain=ChainConfig(id=31337, http_url=url, ws_url=devnet.anvil.ws_url, anchor=devnet.market.weth),
        ingest=IngestConfig(
            judge_tokens_every=0,
            factories=(
                *(FactoryConfig(name=f.name, address=f.address, init_code_hash=f.init_code_hash) for f in v2),
                FactoryConfig(name="v3", family="uniswap_v3", address=v3.factory, init_code_hash=v3.init_code_hash),
            ),
        ),
        executor=ExecutorConfig(address=b"\xee" * 20, owner=b"\xef" * 20),
    )

    async def admit(node: WeighedNode) -> dict[bytes, PoolRecord]:
        found = [found_of(PoolConfig(address=pool)) for pool in pools]
        return {a.record.address: a.record for a in await Admitter(node, config).admit(found, header, 1)}

    found: dict[bytes, PoolRecord] = on(url, admit)
    return found


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listing]:
    with Devnet(tmp_path_factory.mktemp("devnet"), seed=11, with_v3=True) as devnet:
        node = devnet.anvil.node
        for index in range(3):
            devnet.traffic.send(node, devnet.traffic.transactions(node, index))
            devnet.builder.build_block()
        raws = [one.raw for index in range(3, 9) for one in devnet.traffic.transactions(node, index)]
        records = [pending_record(31337, decode(raw), 0) for raw in [*raws, payment(devnet)]]
        counts = dict(
            zip(
                records,
                node.all([("eth_getTransactionCount", [to_hex(r.sender), "latest"]) for r in records]),
                strict=True,
            )
        )
        # Its sender's next one each: the others are refused, whatever they read.
        pending = [r for r in records if r.nonce == quantity(counts[r])]
        header = on(devnet.anvil.http_url, blocks.head)
        yield Listing(devnet, header, At.after(header), pending, admitted(devnet, header, devnet.anvil.http_url))


def payment(devnet: Devnet) -> bytes:
    """Ether for an account that does not exist."""
    rich = Signer.of_seed("listed", "payer")
    devnet.anvil.node.call("anvil_setBalance", to_hex(rich.address), hex(ETHER))
    return rich.sign(
        chain_id=31337, nonce=0, to=b"\x99" * 20, gas=21_000, value=ETHER // 2, payload=b"", max_fee=500 * GWEI, max_priority_fee=GWEI
    )  # fmt: skip


def telling_of_failures(node: DevnetNode) -> Bend:
    """As geth: the list of a call that fails is told as well. Made from a trace that runs where lists are run, in the head's own second."""

    def bend(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method != METHOD or "revert" not in answer.get("error", {}).get("message", ""):
            return answer
        trace = node.call("debug_traceCall", params[0], params[1], {"tracer": "prestateTracer"})
        named = [{"address": a, "storageKeys": list(account.get("storage", {}))} for a, account in trace.items()]
        return {
            "jsonrpc": "2.0",
            "id": answer["id"],
            "result": {"accessList": named, "gasUsed": "0x0", "error": "execution reverted"},
        }

    return bend


def test_the_witnesses_contain_what_traces_tell_and_come_to_the_same(listing: Listing) -> None:
    with BendingProxy(listing.devnet.anvil.http_url, telling_of_failures(listing.devnet.anvil.node)) as proxy:
        found = [read for read in listing.listed(listing.own_slots, proxy.url) if read is not None]
    traced = listing.traced()
    assert len(found) == len(traced) == len(listing.pending) > 20
    by_trace = listing.outcomes(traced)
    assert listing.outcomes(found) == by_trace
    told = [o.kind for o in by_trace]
    assert told.count(VerdictKind.SUCCESS) > 15 and told.count(VerdictKind.REVERTED) >= 2
    assert {to for r in listing.pending if (to := r.to)} > {
        listing.devnet.v3.router,
        *(f.router for f in listing.devnet.market.factories),
    }  # type: ignore[union-attr]
    for by_list, trace in zip(found, traced, strict=True):
        more, less = unpack(by_list.packed).accounts, unpack(trace.packed).accounts
        for address, account in less.items():
            assert (more[address].nonce, more[address].balance, more[address].code_hash) == (
                account.nonce,
                account.balance,
                account.code_hash,
            )
            assert account.slots.items() <= more[address].slots.items()
        assert trace.codes.items() <= by_list.codes.items()


def test_a_call_that_fails_has_no_list_where_the_node_tells_none(listing: Listing) -> None:
    failing = [o.kind is VerdictKind.REVERTED for o in listing.outcomes(listing.traced())]
    assert [read is None for read in listing.listed(listing.own_slots)] == failing


def test_without_the_slots_of_the_pools_one_that_traded_in_the_heads_second_lacks_its_accumulators(
    listing: Listing,
) -> None:
    whole, bare = listing.listed(listing.own_slots), listing.listed(lambda _: frozenset())
    both = [(r, a, b) for r, a, b in zip(listing.pending, whole, bare, strict=True) if a is not None and b is not None]
    env, engine = env_of(31337, "Prague", listing.header, listing.at), make_engine("auto")
    lacking = 0
    for record, with_slots, without_slots in both:
        assert outcome(engine, env, record, with_slots).kind is VerdictKind.SUCCESS
        alone = outcome(engine, env, record, without_slots)
        if alone.kind is not VerdictKind.SUCCESS:
            assert (alone.kind, alone.reason) == (VerdictKind.REFUSED, "missing_slot")
            more, less = (unpack(each.packed).accounts for each in (with_slots, without_slots))
            assert any(set(more[a].slots) - set(less[a].slots) >= ACCUMULATORS for a in listing.pools if a in less)
            lacking += 1
    assert 0 < lacking < len(both)


def test_pools_need_by_lists_what_they_need_by_traces(listing: Listing) -> None:
    with BendingProxy(listing.devnet.anvil.http_url, without("debug_")) as proxy:
        by_lists = admitted(listing.devnet, listing.header, proxy.url)
        proxy.bend = without("debug_", METHOD)
        by_neither = admitted(listing.devnet, listing.header, proxy.url)
    assert by_lists == listing.pools
    assert {r.refusal for r in by_lists.values()} == {""} and {r.family for r in by_lists.values()} == {
        "uniswap_v2",
        "uniswap_v3",
    }
    assert {(r.refusal, r.needs) for r in by_neither.values()} == {("untraceable", ())}
    assert all("debug_traceCall" in r.detail for r in by_neither.values())


def test_a_block_that_is_gone_is_no_answer(listing: Listing) -> None:
    calls = [transaction_of(listing.pending[0]).call()]

    async def ask(node: WeighedNode) -> None:
        await Lists(node, listing.own_slots).reads(calls, At(b"\x77" * 32, 1, 1))

    with pytest.raises(HeadMoved):
        on(listing.devnet.anvil.http_url, ask)


def test_what_the_node_lacks_is_asked_again_after_a_while(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("infra.ingest.call_reads.time.monotonic", lambda: now[0])
    asked: list[str] = []
    calls = [transaction_of(listing.pending[0]).call()]

    def noting(bend: Bend) -> Bend:
        def noted(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
            asked.extend([method] if method in ("debug_traceCall", METHOD) else [])
            return bend(method, params, answer)

        return noted

    async def ask(node: WeighedNode) -> None:
        told = CallReads(node, listing.own_slots)

        async def by(*ways: str) -> bool:
            asked.clear()
            (read,) = await told.reads(calls, listing.at)
            assert tuple(asked) == ways
            return not isinstance(read, RpcError)

        assert await by("debug_traceCall") and told.traced
        proxy.bend = noting(without("debug_"))
        assert await by("debug_traceCall", METHOD) and not told.traced
        assert await by(METHOD)
        now[0] += 11
        assert await by("debug_traceCall", METHOD)
        proxy.bend = noting(without("debug_", METHOD))
        assert not await by(METHOD, "debug_traceCall")
        assert not await by("debug_traceCall")
        proxy.bend = noting(lambda method, params, answer: answer)
        assert await by("debug_traceCall") and told.traced

    with BendingProxy(listing.devnet.anvil.http_url, noting(lambda method, params, answer: answer)) as proxy:
        on(proxy.url, ask)
