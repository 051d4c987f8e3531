"""The pools of a replay bundle as their own code tells them: the blocks are executed, and the pools asked by their views before the first and after
each block that they logged in.

`recorded_pools` reads storage by the protocol's own layout, and the state after the last block only. This reads forks of any layout, block by block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from operators.pools.base import BadState, Pool
from operators.pools.pancake_v3 import SWAP_TOPIC as PANCAKE_SWAP_TOPIC
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v2 import GET_RESERVES, SYNC_TOPIC, V2Pool
from operators.pools.uniswap_v3 import BURN_TOPIC, MINT_TOPIC, SWAP_TOPIC, V3Pool
from operators.simulation.revm_engine import RevmEngine
from schemas.logs import Log
from schemas.reads import Reading, View
from tests.acceptance.recorded_pools import block_logs
from tests.acceptance.replayed.asking import RecordedState
from tests.acceptance.replayed.blocks import ReplayedBlock, replayed_blocks

#: slot0(), liquidity(), ticks(int24).
_SLOT0, _LIQUIDITY, _TICKS = (bytes.fromhex(selector) for selector in ("3850c7bd", "1a686502", "f30dba93"))
_FAMILIES: Mapping[bytes, type[Pool]] = {
    SYNC_TOPIC: V2Pool, SWAP_TOPIC: V3Pool, MINT_TOPIC: V3Pool, BURN_TOPIC: V3Pool, PANCAKE_SWAP_TOPIC: PancakeV3Pool,
}  # fmt: skip
#: Tokens, fee and spacing have no part in what logs say.
_TOKENS, _FEE_PIPS, _SPACING = (b"\1" * 20, b"\2" * 20), 3000, 1

#: (reserves), or (sqrt price, tick, liquidity) and net and gross liquidity of each tick that is followed.
Facts = tuple[int, ...]


class ExecutedPool(NamedTuple):
    """A pool before the blocks (None with a reason: it cannot be told), the ticks that its logs name or cross, and what it says of itself after
    each block that it logged in; None where the execution made other logs of it than the chain."""

    address: bytes
    before: Pool | None
    ticks: tuple[int, ...]
    after: Mapping[int, Facts | None]
    refusal: str = ""

    def facts_of(self, pool: Pool) -> Facts:
        """What our state of this pool says to the same questions."""
        if isinstance(pool, V2Pool):
            return pool.reserve0, pool.reserve1
        assert isinstance(pool, V3Pool)
        held = (pool.ticks.at(tick) for tick in self.ticks)
        entries = ((0, 0) if entry is None else (entry.net, entry.gross) for entry in held)
        return pool.sqrt_price, pool.tick, pool.liquidity, *(value for entry in entries for value in entry)


def executed_pools(engine: RevmEngine, bundle: Mapping[str, Any]) -> list[ExecutedPool]:
    """Every pool of two tokens that a bundle's logs are of, by address. Raises `SystemCallRefused` for a block that the engine cannot begin."""
    logs: dict[bytes, list[tuple[int, Log]]] = {}
    families: dict[bytes, type[Pool]] = {}
    for number, entries in block_logs(bundle):
        for log in entries:
            logs.setdefault(log.address, []).append((number, log))
            family = _FAMILIES.get(log.topics[0]) if log.topics else None
            # Only its swaps tell a PancakeSwap pool from one of Uniswap.
            if family is not None and (log.address not in families or family is PancakeV3Pool):
                families[log.address] = family
    blocks = list(replayed_blocks(engine, bundle))
    before = RecordedState(engine, blocks[0].before, blocks[0].env)
    found = [
        _before(address, families[address], [log for _, log in logs[address]], before) for address in sorted(families)
    ]
    after: dict[bytes, dict[int, Facts | None]] = {pool.address: {} for pool in found}
    for block in blocks:
        number = block.env.number
        moved = [
            pool for pool in found if pool.before is not None and any(at == number for at, _ in logs[pool.address])
        ]
        for pool, facts in zip(moved, _after(engine, block, moved), strict=True):
            after[pool.address][number] = facts
    return [pool._replace(after=after[pool.address]) for pool in found]


def _before(address: bytes, family: type[Pool], logs: Sequence[Log], state: RecordedState) -> ExecutedPool:
    reading = _reserves(address) if family is V2Pool else _price(address)
    told, refusals = state.carry_out({address: reading})
    facts = told.get(address)
    if not facts:
        return ExecutedPool(address, None, (), {}, refusals.get(address, "not_this_family"))
    ticks = () if family is V2Pool else tuple(_followed(facts[1], logs))
    held, _ = state.carry_out({tick: _tick(address, tick) for tick in ticks})
    # What the record does not have of a tick nobody asked for in these blocks; but what was taken off it was there.
    known = tuple(tick for tick in ticks if held.get(tick))
    entries = {tick: entry for tick, entry in _taken_off(logs).items() if tick not in known}
    entries |= {tick: (held[tick][0], held[tick][1]) for tick in known}
    try:
        if family is V2Pool:
            pool: Pool = V2Pool.from_plain((address, *_TOKENS, _FEE_PIPS, *facts, ""))
        else:
            assert issubclass(family, V3Pool)
            pool = family.from_parts(
                address=address, token0=_TOKENS[0], token1=_TOKENS[1], fee_pips=_FEE_PIPS, tick_spacing=_SPACING,
                sqrt_price=facts[0], tick=facts[1], liquidity=facts[2],
                ticks=[(tick, *entry) for tick, entry in sorted(entries.items()) if entry[1]],
            )  # fmt: skip
    except BadState:
        return ExecutedPool(address, None, (), {}, "bad_state")
    return ExecutedPool(address, pool, known, {})


def _after(engine: RevmEngine, block: ReplayedBlock, pools: Sequence[ExecutedPool]) -> Iterator[Facts | None]:
    state = RecordedState(engine, block.after, block.env)
    for pool in pools:
        if not _as_recorded(block, pool.address):
            yield None
            continue
        reading = _reserves(pool.address) if isinstance(pool.before, V2Pool) else _price(pool.address)
        told, _ = state.carry_out({pool.address: reading})
        ticks, _ = state.carry_out({tick: _tick(pool.address, tick) for tick in pool.ticks})
        facts = told.get(pool.address)
        yield (*facts, *(value for tick in pool.ticks for value in ticks[tick])) if facts else None


def _as_recorded(block: ReplayedBlock, address: bytes) -> bool:
    """Whether the execution made the same logs of a contract as the chain."""
    made = [(log.topics, log.data) for verdict in block.verdicts for log in verdict.logs if log.address == address]
    wanted = [(log.topics, log.data) for logs in block.logs for log in logs if log.address == address]
    return [(tuple(topics), data) for topics, data in made] == wanted


def _followed(tick: int, logs: Iterable[Log]) -> Iterator[int]:
    """The ticks that logs name, and those between the prices that they tell of."""
    named, visited = set[int](), [tick]
    for log in logs:
        if log.topics[0] in (MINT_TOPIC, BURN_TOPIC):
            named.update(int.from_bytes(topic, "big", signed=True) for topic in log.topics[2:4])
        elif log.topics[0] in (SWAP_TOPIC, PANCAKE_SWAP_TOPIC):
            visited.append(int.from_bytes(log.data[128:160], "big", signed=True))
    yield from sorted(named.union(range(min(visited), max(visited) + 1)))


def _taken_off(logs: Iterable[Log]) -> dict[int, tuple[int, int]]:
    """(Net, gross) that positions must have had at their ticks for the logs to take off what they do."""
    balance: dict[tuple[bytes, ...], int] = {}
    deficit: dict[tuple[bytes, ...], int] = {}
    for log in logs:
        if log.topics[0] not in (MINT_TOPIC, BURN_TOPIC):
            continue
        position = log.topics[1:4]
        # Mint has its sender before the amount.
        minted = log.topics[0] == MINT_TOPIC
        amount = int.from_bytes(log.data[32:64] if minted else log.data[:32], "big")
        balance[position] = balance.get(position, 0) + (amount if minted else -amount)
        deficit[position] = max(deficit.get(position, 0), -balance[position])
    found: dict[int, tuple[int, int]] = {}
    for (_, *ends), amount in deficit.items():
        for topic, sign in zip(ends, (1, -1), strict=True):
            tick = int.from_bytes(topic, "big", signed=True)
            net, gross = found.get(tick, (0, 0))
            found[tick] = net + sign * amount, gross + amount
    return found


def _reserves(address: bytes) -> Reading[Facts]:
    (answer,) = yield (View(address, GET_RESERVES),)
    return _words(answer)[:2] if answer is not None and len(answer) == 96 else ()


def _price(address: bytes) -> Reading[Facts]:
    slot0, liquidity = yield (View(address, _SLOT0), View(address, _LIQUIDITY))
    if slot0 is None or liquidity is None or len(slot0) < 192 or len(liquidity) != 32:
        return ()
    return *_words(slot0)[:2], *_words(liquidity)


def _tick(address: bytes, tick: int) -> Reading[Facts]:
    """(net, gross) of a tick."""
    (answer,) = yield (View(address, _TICKS + tick.to_bytes(32, "big", signed=True)),)
    return _words(answer)[1::-1] if answer is not None and len(answer) >= 64 else ()


def _words(answer: bytes) -> Facts:
    return tuple(int.from_bytes(answer[at : at + 32], "big", signed=True) for at in range(0, len(answer), 32))
