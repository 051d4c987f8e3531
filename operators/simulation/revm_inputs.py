"""Our plain data as the extension's, and back. What cannot be expressed there is a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from operators.simulation.engine import Refusal
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from operators.simulation.verdict import Verdict, refused

if TYPE_CHECKING:
    import sluice_evm
else:
    try:
        import sluice_evm
    except ImportError:  # the extension is not built: see `revm_engine.available`
        sluice_evm = None


def native_block(
    env: BlockEnv, parent_hash: bytes | None = None, beacon_root: bytes | None = None
) -> sluice_evm.Block | Verdict:
    """The block; refused where its fork is unknown or a number is out of range."""
    try:
        return sluice_evm.Block(
            fork=env.fork,
            chain_id=env.chain_id,
            number=env.number,
            timestamp=env.timestamp,
            coinbase=env.coinbase,
            base_fee=env.base_fee,
            gas_limit=env.gas_limit,
            prevrandao=env.prevrandao,
            difficulty=env.difficulty,
            excess_blob_gas=env.excess_blob_gas,
            blob_fraction=env.blob_fraction or None,
            block_hashes=env.block_hashes,
            parent_hash=parent_hash,
            beacon_root=beacon_root,
        )
    except sluice_evm.ForkError as error:
        return refused(Refusal.UNSUPPORTED_FORK, str(error))
    except sluice_evm.BlockError as error:
        return refused(Refusal.OUT_OF_RANGE, f"block {env.number}: {error}")


def native_transaction(tx: Transaction) -> sluice_evm.Transaction | Verdict:
    """The transaction; refused where a number is out of range or an address has another length."""
    try:
        return sluice_evm.Transaction(
            sender=tx.sender,
            to=tx.to,
            nonce=tx.nonce,
            value=tx.value,
            data=tx.data,
            gas_limit=tx.gas_limit,
            max_fee=tx.max_fee,
            priority_fee=tx.priority_fee,
            tx_type=tx.tx_type,
            access_list=tx.access_list or None,
            blob_hashes=tx.blob_hashes or None,
            max_blob_fee=tx.max_blob_fee,
            authorizations=tx.authorizations or None,
        )
    except sluice_evm.TransactionError as error:
        return refused(Refusal.OUT_OF_RANGE, str(error))


def until_inexpressible(txs: Sequence[Transaction]) -> tuple[list[sluice_evm.Transaction], Verdict | None]:
    """The transactions up to the first that cannot be expressed, and its refusal."""
    natives: list[sluice_evm.Transaction] = []
    for tx in txs:
        native = native_transaction(tx)
        if isinstance(native, Verdict):
            return natives, native
        natives.append(native)
    return natives, None


def plain_witness(native: sluice_evm.Witness) -> Witness:
    """The witness as plain data."""
    return Witness({address: AccountView(*view) for address, view in native.views().items()}, native.codes())
