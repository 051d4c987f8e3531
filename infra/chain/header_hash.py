"""A block's hash computed from its header: base fee, time, limits and the rest cannot be others than the chain's where it holds.

The form is Ethereum's (Yellow Paper 4.4.3 with EIPs 1559, 4895, 4844, 4788 and 7685). Chains of another form are followed all the same; then
their headers are taken at the node's word, as their numbers and linkage are checked elsewhere.
"""

from __future__ import annotations

import logging

from infra.chain import hexes, rlp_items
from infra.chain.answers import HeaderAnswer
from infra.chain.errors import LieReason, NodeLied
from infra.chain.keccak import keccak

log = logging.getLogger("sluice.chain")


def hash_of(answer: HeaderAnswer) -> bytes | None:
    """keccak256 of the header's RLP; None where a field that every header has is not told. Raises `NodeLied(malformed)`."""
    whole = (
        answer.parent_hash, answer.sha3_uncles, answer.miner, answer.state_root, answer.transactions_root,
        answer.receipts_root, answer.logs_bloom,
    )  # fmt: skip
    numbers = (answer.difficulty, answer.number, answer.gas_limit, answer.gas_used, answer.timestamp)
    seal = (answer.extra_data, answer.mix_hash, answer.nonce)
    # Each fork added its own behind those before it.
    later = (
        _number(answer.base_fee_per_gas), _bytes(answer.withdrawals_root), _number(answer.blob_gas_used),
        _number(answer.excess_blob_gas), _bytes(answer.parent_beacon_block_root), _bytes(answer.requests_hash),
    )  # fmt: skip
    fields = [*map(_bytes, whole), *map(_number, numbers), *map(_bytes, seal), *(f for f in later if f is not None)]
    return None if None in fields else keccak(rlp_items.encode_list(fields))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else hexes.data(text)


def _number(text: str | None) -> bytes | None:
    if text is None:
        return None
    number = hexes.quantity(text)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


class HeaderHashes:
    """Holds a node's headers to their hashes, from the first one on that is of the known form."""

    def __init__(self) -> None:
        #: Whether a header of this chain had the known form; None before the first.
        self.known: bool | None = None

    def check(self, answer: HeaderAnswer) -> None:
        """Raises `NodeLied(hash_mismatch)` for a header whose fields are not those that its hash was made of."""
        if hash_of(answer) == hexes.hash32(answer.hash):
            self.known = True
        elif self.known:
            raise NodeLied(
                LieReason.HASH_MISMATCH,
                f"block {hexes.uint(answer.number)}: its fields do not hash to {answer.hash} (or the chain has a new form of headers)",
            )
        elif self.known is None:
            self.known = False
            log.warning(
                "block %s does not hash as Ethereum's headers do: headers are taken at the node's word", answer.hash
            )
