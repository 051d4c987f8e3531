"""What can go wrong with a node, by what one does about it."""

from __future__ import annotations

import re
from enum import StrEnum

_UNSUPPORTED_CODES = (-32601, -32004)
_UNSUPPORTED = re.compile(
    r"method .*(not|n't) (\w+ )?(found|supported|available|exist|allowed|enabled)|unsupported method|tracer not found",
    re.I,
)
_FAILED_CODES = (3, -32015)
_FAILED = re.compile(
    r"revert|invalid opcode|out of gas|gas required exceeds|stack (under|over)flow|stack limit|invalid jump|vm execution|bad instruction|"
    r"execution (error|failed)|static ?call|state (change|modification)|contract (code )?size|write protection",
    re.I,
)
_NO_STATE = re.compile(
    r"missing trie node|pruned|(historical )?state .{0,80}(not|n't|un)\s?(be )?(available|found)|no state available|archive|"
    r"distance to target block exceeds",
    re.I,
)
_MOVED = re.compile(
    r"unknown block|header not found|block not found|header for hash not found|hash is not currently canonical|resource not found",
    re.I,
)


class NodeError(Exception):
    """Anything a node did not answer as asked."""


class NodeUnavailable(NodeError):
    """The node cannot be reached, is overloaded, or answers no JSON-RPC. Wait and ask again."""


class NodeTimeout(NodeUnavailable):
    """No answer in time. Less at once may do."""


class BatchRefused(NodeError):
    """The node takes no batch of this size."""


class RpcError(NodeError):
    """The node answered the request with an error of its own."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {message} (code {code})")
        self.method = method
        self.code = code
        self.message = message

    @property
    def unsupported(self) -> bool:
        """Whether the node does not have the method at all (so asking again is no use)."""
        return self.code in _UNSUPPORTED_CODES or bool(_UNSUPPORTED.search(self.message))

    @property
    def execution_failed(self) -> bool:
        """Whether the call was carried out and failed in the contract: an answer about the contract, not about the node."""
        return self.code in _FAILED_CODES or bool(_FAILED.search(self.message))

    @property
    def no_state(self) -> bool:
        """Whether the node no longer keeps the state of the block asked about."""
        return bool(_NO_STATE.search(self.message))

    @property
    def unknown_block(self) -> bool:
        """Whether the node no longer (or not yet) knows the block asked about."""
        return bool(_MOVED.search(self.message))


class HeadMoved(NodeError):
    """A block asked about by hash is unknown: a reorg came between. Start again from the node's new head."""


class LieReason(StrEnum):
    """How an answer contradicts itself, the request, or an earlier answer."""

    MALFORMED = "malformed"
    WRONG_BLOCK = "wrong_block"
    WRONG_CHAIN = "wrong_chain"
    PARENT_MISMATCH = "parent_mismatch"
    RECEIPT_COUNT = "receipt_count"
    RECEIPT_MISMATCH = "receipt_mismatch"
    LOG_MISMATCH = "log_mismatch"
    GAS_MISMATCH = "gas_mismatch"
    TRACE_COUNT = "trace_count"
    TRACE_MISMATCH = "trace_mismatch"
    HASH_MISMATCH = "hash_mismatch"
    ANSWER_COUNT = "answer_count"


class NodeLied(NodeError):
    """An answer that cannot be true. It is never published; asked again a few times, then the sequencer stops."""

    def __init__(self, reason: LieReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
