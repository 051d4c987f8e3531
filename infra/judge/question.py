"""What a node is asked to judge, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from infra.judge.simulate_v1 import NextBlock
from schemas.logs import Log
from schemas.pending import AccessListEntry


@dataclass(frozen=True, slots=True)
class OurCall:
    """Our transaction, unsigned: it pays the base fee and no tip, and its nonce is whatever the sender's is."""

    sender: bytes
    to: bytes
    data: bytes
    gas_limit: int
    access_list: tuple[AccessListEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A call of ours in the block after a head, behind its targets (signed transactions, in order; none for a cycle)."""

    head_hash: bytes
    next_block: NextBlock
    targets: tuple[bytes, ...]
    ours: OurCall


@dataclass(frozen=True, slots=True)
class Judged:
    """What our call does on the node. `rejected`: no block could hold it, or its target; then it neither succeeds nor has gas.

    `base_fee` of the next block by the node's own computation, wei per gas; None where it does not tell.
    """

    method: str
    succeeded: bool
    rejected: bool
    gas_used: int
    logs: tuple[Log, ...]
    base_fee: int | None
    detail: str


class Cannot(StrEnum):
    """Why a node gives no judgement."""

    STATE_PRUNED = "state_pruned"
    METHOD_MISSING = "method_missing"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"
    RPC_ERROR = "rpc_error"
    #: A target of a kind that is not simulated.
    TARGET_UNREADABLE = "target_unreadable"
    #: The node does not know the head (any more, or yet).
    HEAD_UNKNOWN = "head_unknown"


#: Causes that time may remove.
PASSING = frozenset({Cannot.TIMEOUT, Cannot.UNREACHABLE, Cannot.MALFORMED, Cannot.RPC_ERROR, Cannot.HEAD_UNKNOWN})


@dataclass(frozen=True, slots=True)
class NotJudged:
    """No judgement, and why."""

    cause: Cannot
    detail: str


Answer = Judged | NotJudged
