use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::block::PyBlock;
use super::transaction::PyTransaction;
use super::verdict::PyVerdict;
use super::witness::PyWitness;
use crate::budget::Budget;
use crate::database::UnknownAccounts;
use crate::execute::Case;
use crate::transaction::Transaction;
use crate::verdict::Verdict;
use crate::witness::Witness;

const MOST_THREADS: usize = 256;

/// What one transaction may cost.
#[pyclass(name = "Budget", module = "sluice_evm", frozen)]
pub(super) struct PyBudget {
    budget: Budget,
}

#[pymethods]
impl PyBudget {
    #[new]
    #[pyo3(signature = (*, gas = None, memory = None, milliseconds = None))]
    fn new(gas: Option<u64>, memory: Option<u64>, milliseconds: Option<u64>) -> Self {
        let default = Budget::default();
        let budget = Budget {
            gas: gas.unwrap_or(default.gas),
            memory: memory.unwrap_or(default.memory),
            time: milliseconds.map(Duration::from_millis),
        };
        Self { budget }
    }
}

/// The verdicts of transactions that ran in order, and what they changed.
#[pyclass(name = "Execution", module = "sluice_evm", frozen)]
pub(super) struct PyExecution {
    verdicts: Vec<Py<PyVerdict>>,
    refused: Option<Py<PyVerdict>>,
    changes: Py<PyWitness>,
}

#[pymethods]
impl PyExecution {
    #[getter]
    fn verdicts(&self, py: Python<'_>) -> Vec<Py<PyVerdict>> {
        self.verdicts.iter().map(|verdict| verdict.clone_ref(py)).collect()
    }

    /// Why the block's system calls could not be made, if so.
    #[getter]
    fn refused(&self, py: Python<'_>) -> Option<Py<PyVerdict>> {
        self.refused.as_ref().map(|verdict| verdict.clone_ref(py))
    }

    /// The changed accounts and slots, to be layered over the witness.
    #[getter]
    fn changes(&self, py: Python<'_>) -> Py<PyWitness> {
        self.changes.clone_ref(py)
    }
}

/// Run transactions in order, each on the state the one before left.
#[pyfunction]
#[pyo3(signature = (witness, block, txs, *, absent = false, budget = None))]
pub(super) fn execute(
    py: Python<'_>,
    witness: &PyWitness,
    block: &PyBlock,
    txs: Vec<PyRef<'_, PyTransaction>>,
    absent: bool,
    budget: Option<&PyBudget>,
) -> PyResult<PyExecution> {
    let (witness, block, txs) = (&witness.witness, &block.block, transactions(&txs));
    let (unknown, budget) = (unknown_accounts(absent), budget_of(budget));
    let execution = py.detach(|| crate::execute(witness, block, &txs, unknown, &budget))?;
    let changes = PyWitness { witness: Witness::new(execution.changes) };
    Ok(PyExecution {
        verdicts: verdicts(py, execution.verdicts)?,
        refused: execution.refused.map(|verdict| Py::new(py, PyVerdict { verdict })).transpose()?,
        changes: Py::new(py, changes)?,
    })
}

/// Run each transaction on the witness itself, over so many threads.
#[pyfunction]
#[pyo3(signature = (witness, block, txs, *, threads = 1, absent = false, budget = None))]
pub(super) fn execute_each(
    py: Python<'_>,
    witness: &PyWitness,
    block: &PyBlock,
    txs: Vec<PyRef<'_, PyTransaction>>,
    threads: usize,
    absent: bool,
    budget: Option<&PyBudget>,
) -> PyResult<Vec<Py<PyVerdict>>> {
    let (witness, block, txs) = (&witness.witness, &block.block, transactions(&txs));
    let (unknown, budget) = (unknown_accounts(absent), budget_of(budget));
    let pool = if threads > 1 && txs.len() > 1 { Some(pool(threads)?) } else { None };
    let results = py.detach(|| {
        let run = |threads| crate::execute_each(witness, block, &txs, unknown, &budget, threads);
        pool.map_or_else(|| run(1), |pool| pool.install(|| run(threads)))
    });
    verdicts(py, results)
}

/// Run each transaction on the witness and in the block that come with it, over so many threads.
#[pyfunction]
#[pyo3(signature = (cases, *, threads = 1, absent = false, budget = None))]
pub(super) fn execute_cases(
    py: Python<'_>,
    cases: Vec<(PyRef<'_, PyWitness>, PyRef<'_, PyBlock>, PyRef<'_, PyTransaction>)>,
    threads: usize,
    absent: bool,
    budget: Option<&PyBudget>,
) -> PyResult<Vec<Py<PyVerdict>>> {
    let cases: Vec<Case<'_>> = cases
        .iter()
        .map(|(witness, block, tx)| Case { witness: &witness.witness, block: &block.block, tx: &tx.tx })
        .collect();
    let (unknown, budget) = (unknown_accounts(absent), budget_of(budget));
    let pool = if threads > 1 && cases.len() > 1 { Some(pool(threads)?) } else { None };
    let results = py.detach(|| {
        let run = |threads| crate::execute_cases(&cases, unknown, &budget, threads);
        pool.map_or_else(|| run(1), |pool| pool.install(|| run(threads)))
    });
    verdicts(py, results)
}

fn transactions(txs: &[PyRef<'_, PyTransaction>]) -> Vec<Transaction> {
    txs.iter().map(|tx| tx.tx.clone()).collect()
}

const fn unknown_accounts(absent: bool) -> UnknownAccounts {
    if absent { UnknownAccounts::Absent } else { UnknownAccounts::Refuse }
}

fn budget_of(budget: Option<&PyBudget>) -> Budget {
    budget.map_or_else(Budget::default, |budget| budget.budget)
}

fn verdicts(py: Python<'_>, verdicts: Vec<Verdict>) -> PyResult<Vec<Py<PyVerdict>>> {
    verdicts.into_iter().map(|verdict| Py::new(py, PyVerdict { verdict })).collect()
}

/// Threads are made once for each number that is asked for, and kept.
fn pool(threads: usize) -> PyResult<Arc<ThreadPool>> {
    static POOLS: Mutex<BTreeMap<usize, Arc<ThreadPool>>> = Mutex::new(BTreeMap::new());
    if threads > MOST_THREADS {
        return Err(PyValueError::new_err(format!("{threads} threads; at most {MOST_THREADS} are allowed")));
    }
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = pools.get(&threads) {
        return Ok(Arc::clone(pool));
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("sluice-evm-{index}"))
        .build()
        .map_err(|error| PyRuntimeError::new_err(format!("no threads: {error}")))?;
    let pool = Arc::new(pool);
    pools.insert(threads, Arc::clone(&pool));
    Ok(pool)
}
