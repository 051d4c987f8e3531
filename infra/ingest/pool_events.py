"""Admission of Uniswap V2 pools: what is asked of them, what they are refused for, what a simulation through them needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from infra.chain.blocks import Header
from infra.chain.errors import RpcError
from infra.chain.needs import Holders, Needs, trace_needs
from infra.chain.node import Node
from infra.chain.prestate import AccountChange, State, state_of
from infra.chain.storage import read_accounts
from infra.chain.tracing import At
from infra.chain.v2_pairs import PairFacts, factory_of, read_pairs, read_tokens
from schemas.config import FactoryConfig
from schemas.pools import AccountSlots, PoolOp, PoolRecord, TokenInfo
from schemas.types import ZERO_ADDRESS, Wide

FAMILY = "uniswap_v2"
_DETAIL = 500


class PoolRefusal(StrEnum):
    """Why a pool is tracked but not traded."""

    NOT_A_PAIR = "not_a_pair"
    UNKNOWN_FACTORY = "unknown_factory"
    UNTRACEABLE = "untraceable"


@dataclass(frozen=True)
class Admission:
    """A pool's record, and the state its simulations need (None for a refused one)."""

    record: PoolRecord
    state: State | None
    needs: Needs


class Admitter:
    """Admits pools at a block. Keeps token metadata, which is asked once per token."""

    def __init__(
        self, node: Node, chain: int, factories: Sequence[FactoryConfig], owner: bytes, executor: bytes
    ) -> None:
        self._node = node
        self._chain = chain
        self._factories = factories
        self._owner = owner
        self._executor = executor
        self._tokens: dict[bytes, TokenInfo] = {}

    async def admit(self, addresses: Sequence[bytes], header: Header, interval: int) -> list[Admission]:
        """One admission per address, as of the end of the block. `interval` is the seconds to the next block, for the traces.

        Raises `HeadMoved` when the block is gone.
        """
        found = await read_pairs(self._node, addresses, header.hash)
        pairs = [p for p in found if p is not None]
        await self._learn_tokens([t for p in pairs for t in (p.token0, p.token1)], header.hash)
        makers = {p.address: factory_of(p, self._factories) for p in pairs}
        tradable = [p for p in pairs if makers[p.address] is not None]
        who = Holders(self._executor, self._owner, header.miner)
        needs = dict(
            zip(
                (p.address for p in tradable),
                await trace_needs(self._node, tradable, who, At.after(header, interval)),
                strict=True,
            )
        )
        values = await self._values([n for n in needs.values() if not isinstance(n, RpcError)], header.hash)
        return [
            self._admission(address, pair, makers.get(address), needs.get(address), values, header.number)
            for address, pair in zip(addresses, found, strict=True)
        ]

    async def _learn_tokens(self, tokens: Sequence[bytes], block_hash: bytes) -> None:
        unknown = [t for t in dict.fromkeys(tokens) if t not in self._tokens]
        for info in await read_tokens(self._node, unknown, block_hash):
            self._tokens[info.address] = info

    async def _values(self, needs: Sequence[Needs], block_hash: bytes) -> dict[bytes, AccountChange]:
        union: dict[bytes, frozenset[bytes]] = {}
        for need in needs:
            for account, keys in need.items():
                union[account] = union.get(account, frozenset()) | keys
        return await read_accounts(self._node, block_hash, union)

    def _admission(
        self,
        address: bytes,
        pair: PairFacts | None,
        maker: FactoryConfig | None,
        needs: Needs | RpcError | None,
        values: Mapping[bytes, AccountChange],
        number: int,
    ) -> Admission:
        if pair is None:
            return self._refused(
                address, None, None, PoolRefusal.NOT_A_PAIR, "does not answer as a Uniswap V2 pair", number
            )
        if maker is None:
            detail = "no configured factory makes a pair of these tokens at this address"
            return self._refused(address, pair, None, PoolRefusal.UNKNOWN_FACTORY, detail, number)
        if needs is None or isinstance(needs, RpcError):
            return self._refused(address, pair, maker, PoolRefusal.UNTRACEABLE, str(needs)[:_DETAIL], number)
        return Admission(
            self._record(address, pair, maker, "", "", number, needs), state_of(_restricted(values, needs)), needs
        )

    def _refused(
        self,
        address: bytes,
        pair: PairFacts | None,
        maker: FactoryConfig | None,
        reason: PoolRefusal,
        detail: str,
        number: int,
    ) -> Admission:
        return Admission(self._record(address, pair, maker, reason.value, detail, number, {}), None, {})

    def _record(
        self,
        address: bytes,
        pair: PairFacts | None,
        maker: FactoryConfig | None,
        refusal: str,
        detail: str,
        number: int,
        needs: Needs,
    ) -> PoolRecord:
        nothing = TokenInfo(address=ZERO_ADDRESS, symbol="", decimals=None)
        return PoolRecord(
            chain=self._chain,
            seq=0,
            part=0,
            parts=0,
            op=PoolOp.ADD,
            family=FAMILY,
            address=address,
            factory=maker.address if maker else b"",
            token0=self._tokens[pair.token0] if pair else nothing,
            token1=self._tokens[pair.token1] if pair else nothing,
            fee_pips=maker.fee_pips if maker else 0,
            reserve0=Wide(pair.reserve0 if pair else 0),
            reserve1=Wide(pair.reserve1 if pair else 0),
            block_number=number,
            refusal=refusal,
            detail=detail,
            needs=tuple(AccountSlots(address=a, keys=tuple(sorted(needs[a]))) for a in sorted(needs)),
        )


def _restricted(values: Mapping[bytes, AccountChange], needs: Needs) -> dict[bytes, AccountChange]:
    """One pool's part of what was read for several."""
    return {
        account: AccountChange(
            values[account].nonce,
            values[account].balance,
            values[account].code,
            {k: values[account].slots[k] for k in keys},
        )
        for account, keys in needs.items()
    }
