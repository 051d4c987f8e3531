"""From a decision to a bundle: pure, apart from the key inside the signer.

The order is fixed by construction: the transaction we react to, behind those of its sender that must come before it, then ours. There is no way to say anything else.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from infra.chain.transactions import TransactionRefused, without_sidecar
from infra.relays.dialects import CancelMethod, Dialect
from infra.relays.signing import SignedTransaction, Signer, UnsignedTransaction, bundle_hash, keccak
from schemas.decisions import ChosenCall, DecisionRecord, Target
from schemas.opportunities import Strategy


class Unbuildable(StrEnum):
    """Why a decision gives no bundle."""

    NOTHING_CHOSEN = "nothing_chosen"
    WRONG_SENDER = "wrong_sender"
    TARGET_MISMATCH = "target_mismatch"
    TARGET_MISSING = "target_missing"
    FEE_TOO_LOW = "fee_too_low"
    TOO_LARGE = "too_large"
    ACCESS_LIST = "access_list"


class CannotBuild(ValueError):
    """A decision cannot become a bundle; `reason` is machine-readable."""

    def __init__(self, reason: Unbuildable, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle for one block: what it follows, in order (nothing for a cycle), and our signed transaction."""

    target_block: int
    replacement_uuid: str
    targets: tuple[Target, ...] = field(repr=False)
    ours: SignedTransaction

    @property
    def transactions(self) -> tuple[bytes, ...]:
        """The signed transactions in the order of execution: ours is last, whatever it follows."""
        return (*(target.raw for target in self.targets), self.ours.raw)

    @property
    def hash(self) -> bytes:
        """Our own computation of the bundle hash, to hold the relay's against."""
        return bundle_hash((*(target.hash for target in self.targets), self.ours.hash))


def replacement_uuid(decision_id: bytes) -> str:
    """A version 4 UUID made of the decision's id, so that a restart names the same bundle by the same name."""
    return str(uuid.UUID(bytes=decision_id[:16], version=4))


def check_targets(chosen: ChosenCall) -> None:
    """The bytes we would follow are the transactions that were decided on, each once, the last one the target. Raises `CannotBuild`."""
    hashes = [target.hash for target in chosen.targets]
    if bool(chosen.target) != bool(hashes) or (chosen.strategy is Strategy.BACKRUN and not chosen.target):
        raise CannotBuild(Unbuildable.TARGET_MISSING, f"a {chosen.strategy} decision with incomplete target")
    if hashes and (hashes[-1] != chosen.target or len(dict.fromkeys(hashes)) != len(hashes)):
        told = ", ".join("0x" + each.hex() for each in hashes)
        raise CannotBuild(Unbuildable.TARGET_MISMATCH, f"bytes of {told} for target 0x{chosen.target.hex()}")
    for target in chosen.targets:
        try:
            found = keccak(without_sidecar(target.raw))
        except TransactionRefused as error:
            raise CannotBuild(Unbuildable.TARGET_MISMATCH, str(error)) from None
        if found != target.hash:
            raise CannotBuild(Unbuildable.TARGET_MISMATCH, f"bytes of 0x{found.hex()} for target 0x{target.hash.hex()}")


def build_bundle(decision: DecisionRecord, owner: Signer, *, legacy: bool = False) -> Bundle:
    """Sign what was chosen. `legacy`: the chain's fork has no EIP-1559.

    Raises `CannotBuild` where the decision and the key or the target do not fit; nothing is signed then.
    """
    chosen = decision.chosen
    if chosen is None:
        raise CannotBuild(Unbuildable.NOTHING_CHOSEN, "the decision chose nothing")
    if chosen.sender != owner.address:
        raise CannotBuild(
            Unbuildable.WRONG_SENDER, f"decided for 0x{chosen.sender.hex()}, the key is {owner.checksum_address}'s"
        )
    if chosen.max_fee < chosen.base_fee or chosen.priority_fee > chosen.max_fee:
        # The next base fee is known by formula, so this is invalid, not merely unlucky.
        raise CannotBuild(
            Unbuildable.FEE_TOO_LOW,
            f"max fee {chosen.max_fee}, priority fee {chosen.priority_fee}, base fee {chosen.base_fee}",
        )
    if legacy and chosen.access_list:
        raise CannotBuild(Unbuildable.ACCESS_LIST, "decided with an access list, which the legacy form cannot carry")
    check_targets(chosen)
    sign = owner.sign_legacy_transaction if legacy else owner.sign_transaction
    ours = sign(
        UnsignedTransaction(
            chain_id=decision.chain,
            nonce=chosen.nonce,
            priority_fee=chosen.priority_fee,
            max_fee=chosen.max_fee,
            gas_limit=chosen.gas_limit,
            to=chosen.to,
            value=0,
            data=chosen.data,
            access_list=tuple((entry.address, entry.keys) for entry in chosen.access_list),
        )
    )
    return Bundle(
        target_block=decision.target_block,
        replacement_uuid=replacement_uuid(decision.id),
        targets=chosen.targets,
        ours=ours,
    )


def send_body(bundle: Bundle, dialect: Dialect) -> bytes:
    """The bytes of an `eth_sendBundle` request: signed and sent as they are, never serialised again.

    Optional fields are left out, not sent as null or 0: builders disagree about what those mean. Raises `CannotBuild`
    above the relay's size limit.
    """
    transactions = bundle.transactions
    if transactions[-1] != bundle.ours.raw or transactions[:-1] != tuple(target.raw for target in bundle.targets):
        raise AssertionError("our transaction must come last, behind those it follows")
    size = sum(map(len, transactions))
    if size > dialect.max_bundle_bytes:
        raise CannotBuild(
            Unbuildable.TOO_LARGE, f"{size} bytes of transactions, {dialect.name} takes {dialect.max_bundle_bytes}"
        )
    params: dict[str, Any] = {
        "txs": ["0x" + raw.hex() for raw in transactions],
        "blockNumber": hex(bundle.target_block),
    }
    if dialect.replacement_field:
        params[dialect.replacement_field] = bundle.replacement_uuid
    return _request("eth_sendBundle", params)


def cancel_body(decision_id: bytes, target_block: int, dialect: Dialect) -> bytes | None:
    """The bytes of a request that cancels a decision's bundle, None where the relay has no way to. `target_block` is 0
    where it is not known any more; the empty-bundle form needs it."""
    name = replacement_uuid(decision_id)
    if dialect.cancel is CancelMethod.METHOD and dialect.replacement_field:
        return _request("eth_cancelBundle", {dialect.replacement_field: name})
    if dialect.cancel is CancelMethod.EMPTY_BUNDLE and dialect.replacement_field and target_block:
        return _request(
            "eth_sendBundle", {"txs": [], "blockNumber": hex(target_block), dialect.replacement_field: name}
        )
    return None


def _request(method: str, params: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": [params]}, separators=(",", ":")).encode()
