"""Token quality at admission: each token is tried once on the chain's own state, and again after a while."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from infra.chain.blocks import Header
from infra.chain.errors import RpcError
from infra.chain.node import Node
from infra.chain.prestate import State
from infra.chain.readings import Reader
from infra.chain.token_traces import Delay, Scripts, trace_scripts
from infra.chain.tracing import At
from infra.ingest import metrics
from operators.pools.base import Pool
from operators.simulation.engines import make_engine
from operators.simulation.fees import next_base_fee
from operators.simulation.model import BlockEnv, Witness
from operators.tokens.experiment import DELAY_BLOCKS, DELAY_SECONDS, GAS_LIMIT, Experiment, Subject, design
from operators.tokens.judge import judge, unknown
from schemas.config import Config
from schemas.reads import Code, View
from schemas.tokens import TRADABLE, Quality, TokenRecord
from schemas.types import ZERO_ADDRESS

_BALANCE_OF = bytes.fromhex("70a08231")
_NEVER = 2**63
_DELAY = Delay(DELAY_BLOCKS, DELAY_SECONDS)


class Holding(NamedTuple):
    """Somebody who holds a token: a pool, or the vault of one."""

    token: bytes
    holder: bytes


class TokenJudge:
    """Knows what every token is that a pool of the log holds."""

    def __init__(self, node: Node, reader: Reader, config: Config) -> None:
        """Asks the node only when asked itself."""
        self._node = node
        self._reader = reader
        self._chain = config.chain.id
        self._fork = config.chain.fork
        self._owner, self._executor = config.executor.owner, config.executor.address
        self._every = config.ingest.judge_tokens_every
        self._engine = make_engine(config.search.engine)
        self._known: dict[bytes, TokenRecord] = {}
        self._unwritten: dict[bytes, TokenRecord] = {}
        #: No token is due before this block.
        self._next_due = _NEVER

    @property
    def enabled(self) -> bool:
        """Whether tokens are tried at all."""
        return bool(self._every)

    def remember(self, records: Iterable[TokenRecord]) -> None:
        """Take over what was written; the newest of a token is the last."""
        for record in records:
            self._known[record.token] = record
            self._next_due = min(self._next_due, record.block_number + self._every)

    def forget(self, tokens: Iterable[bytes]) -> None:
        """Somebody wants these tried again."""
        for token in tokens:
            self._known.pop(token, None)

    def known(self, token: bytes) -> TokenRecord | None:
        """What a token was found to be."""
        return self._known.get(token)

    def due(self, number: int) -> list[TokenRecord]:
        """The tokens that were last tried so long before this block that they should be again, oldest first."""
        if not self.enabled or number < self._next_due:
            return []
        old = [r for r in self._known.values() if r.block_number + self._every <= number]
        if not old:
            self._next_due = min((r.block_number + self._every for r in self._known.values()), default=_NEVER)
        return sorted(old, key=lambda r: (r.block_number, r.token))

    async def learn(self, pools: Sequence[Pool], header: Header, interval: int) -> None:
        """Try the tokens of these pools that are not known, at the end of a block. What was found counts at once, and is to be written with
        the pools (`unwritten`). `interval` is the seconds to the next block. Raises `HeadMoved` when the block is gone.
        """
        if not self.enabled:
            return
        holdings = [Holding(token, pool.holder) for pool in pools for token in pool.tokens if token != ZERO_ADDRESS]
        records = await self.judge([h for h in holdings if not self._stands(h.token, header)], header, interval)
        self.remember(records)
        self._unwritten.update((record.token, record) for record in records)

    @property
    def unwritten(self) -> tuple[TokenRecord, ...]:
        """Records that are not in the log yet."""
        return tuple(self._unwritten.values())

    def written(self, records: Iterable[TokenRecord]) -> None:
        """These are."""
        for record in records:
            if self._unwritten.get(record.token) == record:
                del self._unwritten[record.token]

    def _stands(self, token: bytes, header: Header) -> bool:
        known = self._known.get(token)
        if known is None or known.quality is Quality.UNKNOWN:
            return False
        # Tried on another block of this height or above: that one was reverted.
        return known.block_number < header.number or known.block_hash == header.hash

    async def judge(self, holdings: Sequence[Holding], header: Header, interval: int) -> list[TokenRecord]:
        """Try tokens, each with the one of its holders that holds most."""
        if not holdings:
            return []
        subjects, unread = await self._subjects(dict.fromkeys(holdings), header.hash)
        records = [self._unknown(token, header, "no holder answers balanceOf with a number") for token in unread]
        experiments: list[Experiment] = []
        for subject in subjects:
            experiment = design(subject)
            if experiment is None:
                why = f"the richest holder 0x{subject.holder.hex()} has {subject.balance} base units: too few to move"
                records.append(self._unknown(subject.token, header, why))
            else:
                experiments.append(experiment)
        states = await trace_scripts(self._node, [_scripts(e) for e in experiments], At.after(header, interval), _DELAY)
        env = self._env(header, interval)
        for experiment, state in zip(experiments, states, strict=True):
            records.append(self._judged(experiment, state, header, env))
        for record in records:
            metrics.TOKENS_JUDGED.labels(record.quality.value).inc()
        return sorted(records, key=lambda r: r.token)

    async def _subjects(self, holdings: Iterable[Holding], block_hash: bytes) -> tuple[list[Subject], list[bytes]]:
        asked = {h: View(h.token, _BALANCE_OF + h.holder.rjust(32, b"\0")) for h in holdings}
        answers = await self._reader.read(asked.values(), block_hash)
        best: dict[bytes, tuple[int, bytes]] = {}
        for holding, view in asked.items():
            answer = answers[view]
            if answer is not None and len(answer) == 32:
                entry = int.from_bytes(answer, "big"), holding.holder
                best[holding.token] = max(entry, best.get(holding.token, entry))
        codes = await self._reader.read({Code(h) for _, h in best.values()} | {Code(self._executor)}, block_hash)
        ours = codes[Code(self._executor)] or b""
        subjects = [
            Subject(token, holder, balance, codes[Code(holder)] or b"", self._owner, self._executor, ours)
            for token, (balance, holder) in best.items()
        ]
        return subjects, list(dict.fromkeys(h.token for h in asked if h.token not in best))

    def _judged(self, experiment: Experiment, state: State | RpcError, header: Header, env: BlockEnv) -> TokenRecord:
        if isinstance(state, RpcError):
            return self._unknown(experiment.subject.token, header, f"untraceable: {state}")
        witness = Witness({}, dict(state.codes))
        for account in state.accounts:
            witness.apply(account)
        return judge(experiment, witness, env, header.number, header.hash, self._engine)

    def _unknown(self, token: bytes, header: Header, why: str) -> TokenRecord:
        return unknown(self._chain, token, header.number, header.hash, why, self._engine.name)

    def _env(self, header: Header, interval: int) -> BlockEnv:
        return BlockEnv(
            chain_id=self._chain,
            number=header.number + 1,
            timestamp=header.timestamp + max(1, interval),
            coinbase=header.miner,
            base_fee=next_base_fee(header.base_fee, header.gas_used, header.gas_limit) if header.base_fee else 0,
            gas_limit=header.gas_limit,
            prevrandao=bytes(32),
            difficulty=int(header.difficulty),
            excess_blob_gas=header.excess_blob_gas,
            fork=self._fork,
        )

    def refusal(self, pool: Pool) -> tuple[str, str]:
        """Why a pool is refused for one of its tokens, and the sentence for people; both empty where it is not."""
        for token in pool.tokens:
            known = self._known.get(token)
            if known is not None and known.quality not in TRADABLE:
                return known.quality.value, f"token 0x{token.hex()}: {known.detail}"
        return "", ""


def _scripts(experiment: Experiment) -> Scripts:
    return Scripts(experiment.sender, experiment.to, experiment.calls, (experiment.look,), experiment.codes, GAS_LIMIT)
