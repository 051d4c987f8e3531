"""The state after a transaction, out of the journal of its run and the fees that pyrevm does not take."""

from __future__ import annotations

from operators.simulation.engine import UnknownAccounts
from operators.simulation.fees import blob_fee
from operators.simulation.forks import FORKS
from operators.simulation.journal import TouchedAccount, read_journal
from operators.simulation.model import ABSENT, AccountView, BlockEnv, Transaction, Witness
from operators.simulation.pyrevm_transaction import Run, shown
from operators.simulation.verdict import Touched


def after(witness: Witness, env: BlockEnv, tx: Transaction, run: Run, unknown: UnknownAccounts) -> Witness:
    """The witness after a transaction: what its journal changed, and the fees that pyrevm does not take."""
    fork = FORKS[env.fork]
    gas, price = run.verdict.gas_used, run.verdict.effective_gas_price
    corrections = {tx.sender: -gas * price - blob_fee(tx, env, fork)}
    _add(corrections, env.coinbase, gas * (price - env.base_fee))
    if tx.to:
        _add(corrections, tx.sender, witness.accounts[tx.sender].balance - run.variant.sender_balance)
    else:  # run as a whole transaction: the price was taken, and all of it given to the coinbase
        _add(corrections, tx.sender, run.raw_gas * price)
        _add(corrections, env.coinbase, -run.raw_gas * price)
    after = Witness({}, {})
    for address, touched in shown(lambda: read_journal(run.evm.journal_str)).items():
        before = run.state.accounts.get(address)
        if before is None and not touched.created and (unknown is UnknownAccounts.REFUSE or not touched.balance):
            continue  # a precompile or a coinbase of which nothing is known: that stays so
        view = _changed(before or ABSENT, touched, after.codes)
        if address == tx.sender:
            view = view._replace(nonce=tx.nonce + 1)
        after.accounts[address] = view
    if env.coinbase not in after.accounts:
        known = witness.accounts.get(env.coinbase, ABSENT if unknown is UnknownAccounts.ABSENT else None)
        if known is not None:
            after.accounts[env.coinbase] = known
    for address, amount in corrections.items():
        if address in after.accounts:
            view = after.accounts[address]
            after.accounts[address] = view._replace(balance=view.balance + amount)
    return witness.layered(after)


def touched_slots(run: Run) -> tuple[Touched, ...]:
    """The slots that a successful run read or wrote, by address and key. (Those of an inner call that failed are not told.)"""
    return tuple(
        Touched(address, *(number.to_bytes(32, "big") for number in (key, before, after)))
        for address, account in shown(lambda: read_journal(run.evm.journal_str)).items()
        for key, (before, after) in sorted(account.slots.items())
    )


def _add(amounts: dict[bytes, int], address: bytes, amount: int) -> None:
    amounts[address] = amounts.get(address, 0) + amount


def _changed(before: AccountView, touched: TouchedAccount, codes: dict[bytes, bytes]) -> AccountView:
    if touched.destroyed:
        return ABSENT
    written = {
        key.to_bytes(32, "big"): value.to_bytes(32, "big")
        for key, (old, value) in touched.slots.items()
        if old != value
    }
    if touched.created:
        if touched.code:
            codes[touched.code_hash] = touched.code
        return AccountView(touched.nonce, touched.balance, touched.code_hash, written, complete=True)
    slots = {**before.slots, **written} if written else before.slots
    return AccountView(touched.nonce, touched.balance, before.code_hash, slots, before.complete)
