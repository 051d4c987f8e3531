"""A market of any size, always the same: pool records as ingest writes them, and blocks of logs that can follow on them.

Nine pools of ten are Uniswap V2 pairs, the tenth a V3 pool with 200 initialised ticks. Each needs the slots of its own contract and four of
each token, which is what tracing finds for plain tokens.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec

import schemas.blocks
from operators.pools.base import Pool
from operators.pools.records import packed_state
from operators.pools.uniswap_v2 import SYNC_TOPIC, V2Pool
from operators.pools.uniswap_v3 import SWAP_TOPIC, V3Pool
from schemas.blocks import BlockRecord
from schemas.decisions import EventKind
from schemas.event import Event
from schemas.logs import Log, LogsRecord
from schemas.pools import AccountSlots, PoolOp, PoolRecord, TokenInfo

#: Initialised ticks of each V3 pool, evenly around the price.
TICKS = 200
#: What one block does: its logs, and the pools that they are of.
LOGS, CHANGED = 450, 60

_V3_EVERY = 10
_SPACING = 60
_Q96 = 1 << 96
_POSITION = 10**18


class SyntheticMarket:
    """`size` pools over a third as many tokens."""

    def __init__(self, size: int, seed: int = 1) -> None:
        self.size = size
        self._seed = seed
        rng = random.Random(seed)
        self.addresses = [rng.randbytes(20) for _ in range(size)]
        self._tokens = [rng.randbytes(20) for _ in range(max(10, size // 3))]

    def is_v3(self, number: int) -> bool:
        """Whether the pool of this number is a V3 pool."""
        return number % _V3_EVERY == 0

    def pools(self) -> Iterator[Pool]:
        """The pools, made as they are asked for."""
        rng = random.Random(self._seed + 1)
        for number, address in enumerate(self.addresses):
            token0, token1 = sorted(rng.sample(self._tokens, 2))
            reserves = rng.getrandbits(80) + 1, rng.getrandbits(80) + 1
            if self.is_v3(number):
                yield V3Pool.from_parts(
                    address=address, token0=token0, token1=token1, fee_pips=3000, tick_spacing=_SPACING, sqrt_price=_Q96,
                    tick=0, liquidity=_liquidity(number), ticks=_ticks(number),
                )  # fmt: skip
            else:
                yield V2Pool(address, token0, token1, 3000, *reserves)

    def admissions(self) -> Iterator[Event]:
        """A pool event each, from seq 1."""
        rng = random.Random(self._seed + 2)
        for seq, pool in enumerate(self.pools(), 1):
            yield admission(seq, pool, rng)

    def start(self) -> Event:
        """The block that everything is admitted on."""
        return Event(1, 0, EventKind.BLOCK, (header(1),))

    def blocks(self, count: int, logs: int = LOGS, changed: int = CHANGED) -> list[Event]:
        """Blocks that follow on the admissions: Sync logs of pairs, Swap logs of V3 pools that stay in their range."""
        rng = random.Random(self._seed + 3)
        found = []
        for number in range(2, 2 + count):
            chosen = rng.sample(range(self.size), changed)
            # Each of the pools at least once.
            order = [*chosen, *rng.choices(chosen, k=logs - changed)]
            entries = tuple(self._log(pool, index, rng) for index, pool in enumerate(order))
            seq = self.size + number
            found.append(Event(1, seq, EventKind.BLOCK, (header(number), LogsRecord(1, seq, 1, 2, bytes(32), entries))))
        return found

    def _log(self, number: int, index: int, rng: random.Random) -> Log:
        address = self.addresses[number]
        if self.is_v3(number):
            # Below the next initialised tick, so the liquidity stays.
            words = (5, -5, _Q96 + rng.getrandbits(64), _liquidity(number), 0)
            return Log(address, (SWAP_TOPIC, bytes(32), bytes(32)), b"".join(map(word, words)), 0, index)
        return Log(address, (SYNC_TOPIC,), word(rng.getrandbits(80) + 1) + word(rng.getrandbits(80) + 1), 0, index)


def admission(seq: int, pool: Pool, rng: random.Random | None = None) -> Event:
    """The event by which ingest admits a pool. `rng`: with slots of its contract and of its tokens, drawn anew; None: with none."""
    needs: tuple[AccountSlots, ...] = ()
    if rng is not None:
        own, *_ = pool.slots()
        of_tokens = (AccountSlots(token, tuple(rng.randbytes(32) for _ in range(4))) for token in pool.tokens)
        needs = (own, *of_tokens)
    record = PoolRecord(
        1, seq, 0, 1, PoolOp.ADD, pool.FAMILY, pool.address, b"\x5c" * 20,
        tuple(TokenInfo(token, "T", 18) for token in pool.tokens), packed_state(pool), b"", 1, "", "", needs,
    )  # fmt: skip
    return Event(1, seq, EventKind.POOL, (record,))


def logs_of(event: Event) -> tuple[Log, ...]:
    """The logs of a block."""
    return tuple(log for record in event.parts if isinstance(record, LogsRecord) for log in record.logs)


def _position(number: int) -> int:
    # No two pools have the same ticks: equal ones would be held once.
    return _POSITION + number


def _liquidity(number: int) -> int:
    return TICKS // 2 * _position(number)


def _ticks(number: int) -> list[tuple[int, int, int]]:
    position = _position(number)
    below = [(-_SPACING * k, position, position) for k in range(TICKS // 2)]
    above = [(_SPACING * k, -position, position) for k in range(1, TICKS // 2 + 1)]
    return [*below, *above]


def header(number: int) -> BlockRecord:
    """A block of this number on the one before."""
    return msgspec.structs.replace(
        schemas.blocks.GOLDEN,
        number=number,
        hash=number.to_bytes(32, "big"),
        parent_hash=(number - 1).to_bytes(32, "big"),
    )


def word(value: int) -> bytes:
    """An ABI word."""
    return value.to_bytes(32, "big", signed=value < 0)
