//! Transactions in order, or each by itself.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::prelude::*;
use revm::context::result::{ExecutionResult, Output};
use revm::primitives::Bytes;
use revm::state::EvmState;

use crate::block::Block;
use crate::budget::Budget;
use crate::database::{Missing, StateDb, UnknownAccounts};
use crate::error::InputError;
use crate::machine::{Failure, Machine};
use crate::refusal::{Refusal, Refused};
use crate::system_calls::make_system_calls;
use crate::transaction::Transaction;
use crate::verdict::{Kind, Verdict, changed_accounts, loaded_accounts, touched_slots};
use crate::witness::{Layer, Witness};

/// The verdicts of transactions that ran one after the other, and what they changed.
#[derive(Debug)]
pub struct Execution {
    /// One verdict per transaction.
    pub verdicts: Vec<Verdict>,
    /// Why the block's system calls could not be made, if so; every transaction is refused then.
    pub refused: Option<Verdict>,
    /// The changes, to be put over the witness: those of the transactions before the first refused one.
    pub changes: Layer,
}

/// Runs transactions in order, each on the state the one before left. The block's system calls, if it asks for any,
/// come first. After a refusal the state is unknown: all later transactions are refused as well.
pub fn execute(
    witness: &Witness,
    block: &Block,
    txs: &[Transaction],
    unknown: UnknownAccounts,
    budget: &Budget,
) -> Result<Execution, InputError> {
    let mut machine = Machine::new(StateDb::new(witness, block, unknown), block, budget);
    let refused = guarded(|| make_system_calls(&mut machine, block)).and_then(|made| made).err().map(Verdict::from);
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(txs.len());
    let mut failed = refused.as_ref().map(|_| "the block's system calls could not be made".to_owned());
    for tx in txs {
        if let Some(cause) = &failed {
            verdicts.push(Verdict::refused(Refusal::PrecedingRefused, cause.clone()));
            continue;
        }
        let verdict = guarded(|| transact(&mut machine, block, tx, budget)).unwrap_or_else(Verdict::from);
        if verdict.kind == Kind::Refused {
            failed = Some("the state after a refused transaction is unknown".to_owned());
        }
        verdicts.push(verdict);
    }
    Ok(Execution { verdicts, refused, changes: machine.into_db().into_changes().into_layer()? })
}

/// Runs each transaction on the witness itself. Results come in order and do not depend on the number of threads: 1 runs
/// on the caller's, more on rayon's current pool.
#[must_use]
pub fn execute_each(
    witness: &Witness,
    block: &Block,
    txs: &[Transaction],
    unknown: UnknownAccounts,
    budget: &Budget,
    threads: usize,
) -> Vec<Verdict> {
    let one = |tx: &Transaction| execute_alone(witness, block, tx, unknown, budget);
    if threads <= 1 { txs.iter().map(one).collect() } else { txs.par_iter().map(one).collect() }
}

/// A transaction with the witness and the block that are its own.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The state it runs on.
    pub witness: &'a Witness,
    /// The block it runs in.
    pub block: &'a Block,
    /// The transaction.
    pub tx: &'a Transaction,
}

/// Runs each case by itself: [`execute_each`] for transactions that do not share a state.
#[must_use]
pub fn execute_cases(cases: &[Case<'_>], unknown: UnknownAccounts, budget: &Budget, threads: usize) -> Vec<Verdict> {
    let one = |case: &Case<'_>| execute_alone(case.witness, case.block, case.tx, unknown, budget);
    if threads <= 1 { cases.iter().map(one).collect() } else { cases.par_iter().map(one).collect() }
}

fn execute_alone(
    witness: &Witness,
    block: &Block,
    tx: &Transaction,
    unknown: UnknownAccounts,
    budget: &Budget,
) -> Verdict {
    guarded(|| {
        let mut machine = Machine::new(StateDb::new(witness, block, unknown), block, budget);
        match make_system_calls(&mut machine, block) {
            Ok(()) => transact(&mut machine, block, tx, budget),
            Err(refused) => refused.into(),
        }
    })
    .unwrap_or_else(Verdict::from)
}

/// Turns a panic into a refusal: it says nothing about the transaction, and costs nobody else anything.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Refused> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let shown =
            panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Refused::new(Refusal::EngineFailure, format!("the engine panicked: {}", shown.unwrap_or("no message")))
    })
}

fn transact(machine: &mut Machine<'_>, block: &Block, tx: &Transaction, budget: &Budget) -> Verdict {
    if let Err(refused) = tx.check_form() {
        return refused.into();
    }
    if tx.gas_limit > budget.gas {
        return Verdict::refused(
            Refusal::GasBudget,
            format!("gas limit {}, the budget is {}", tx.gas_limit, budget.gas),
        );
    }
    let result = machine.transact(tx.env(block));
    let state = machine.take_state();
    match result {
        Ok(result) => {
            if let Some(refused) = unseen_precompile(machine, block, &state) {
                return refused;
            }
            let verdict = verdict_of(result, &state, tx.effective_gas_price(block.env.basefee));
            machine.db().commit(state);
            verdict
        }
        Err(failure) => refusal_of(machine, &failure, budget),
    }
}

/// Precompiles may be called without their accounts being known; their balances must be, if money went there.
fn unseen_precompile(machine: &mut Machine<'_>, block: &Block, state: &EvmState) -> Option<Verdict> {
    let paid = changed_accounts(state);
    let address = paid
        .iter()
        .map(|change| change.address)
        .find(|address| block.fork.is_precompile(address) && !machine.db().knows(address))?;
    Some(Verdict::refused(Refusal::MissingAccount, Missing::Account(address).to_string()))
}

fn verdict_of(result: ExecutionResult, state: &EvmState, effective_gas_price: u128) -> Verdict {
    let gas_used = result.tx_gas_used();
    let (kind, reason, logs, output, created) = match result {
        ExecutionResult::Success { logs, output: Output::Call(output), .. } => {
            (Kind::Success, String::new(), logs, output, None)
        }
        ExecutionResult::Success { logs, output: Output::Create(_, created), .. } => {
            (Kind::Success, String::new(), logs, Bytes::new(), created)
        }
        ExecutionResult::Revert { output, .. } => (Kind::Reverted, String::new(), Vec::new(), output, None),
        ExecutionResult::Halt { reason, .. } => (Kind::Halted, format!("{reason:?}"), Vec::new(), Bytes::new(), None),
    };
    Verdict {
        kind,
        detail: reason.clone(),
        reason,
        gas_used,
        effective_gas_price,
        logs,
        output,
        created,
        slots: touched_slots(state),
        accounts: changed_accounts(state),
        loaded: loaded_accounts(state),
    }
}

fn refusal_of(machine: &Machine<'_>, failure: &Failure, budget: &Budget) -> Verdict {
    match (machine.stopped(), failure) {
        (Some(Refusal::MemoryBudget), _) => {
            Verdict::refused(Refusal::MemoryBudget, format!("more than {} bytes of memory", budget.memory))
        }
        (Some(Refusal::ImpossibleAccount), _) => {
            Verdict::refused(Refusal::ImpossibleAccount, "a contract would be created where storage lies already")
        }
        (Some(limit), _) => {
            Verdict::refused(limit, format!("not done after {} ms", budget.time.unwrap_or_default().as_millis()))
        }
        (None, Failure::Database(missing)) => Verdict::refused(missing.refusal(), missing.to_string()),
        (None, Failure::Transaction(invalid)) => Verdict::refused(Refusal::of_invalid(invalid), invalid.to_string()),
        (None, other) => Verdict::refused(Refusal::EngineFailure, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_refusal() {
        let refused = guarded(|| -> Verdict { panic!("no {}", "good") }).unwrap_err();
        assert_eq!(refused, Refused::new(Refusal::EngineFailure, "the engine panicked: no good"));
    }
}
