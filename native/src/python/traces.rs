use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use revm::primitives::{B256, KECCAK_EMPTY, U256};

use super::arguments::Arguments;
use super::witness::integer;
use crate::error::InputKind;
use crate::traces::{self, BlockDiffs, Code, KnownCodes, Prestate, TouchedAccount};

const BLOCK: Arguments = Arguments(InputKind::Block);
const WITNESS: Arguments = Arguments(InputKind::Witness);
/// Codes of which Python is handed the same object again.
const SHOWN: usize = 1024;

/// Reads what a node's tracer tells. Remembers codes, for which its memory is bounded.
#[pyclass(name = "TraceReader", module = "sluice_evm", frozen)]
#[derive(Default)]
pub(super) struct PyTraceReader {
    known: Mutex<KnownCodes>,
    shown: Arc<ShownCodes>,
}

#[pymethods]
impl PyTraceReader {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// The answer to one request; None where it is in any way unusual.
    fn prestate(&self, body: &[u8]) -> Option<PyPrestate> {
        traces::prestate(body, &mut locked(&self.known)).ok().map(|prestate| self.shared(prestate))
    }

    /// The answers to a batch of requests numbered from 0, each in its place, and the bytes of those that are in any way
    /// unusual; None where the batch is.
    fn prestates<'py>(&self, py: Python<'py>, body: &[u8], count: usize) -> Option<Batch<'py>> {
        let batch = traces::prestates(body, count, &mut locked(&self.known)).ok()?;
        let found = batch.found.into_iter().map(|each| each.map(|prestate| self.shared(prestate))).collect();
        Some((found, batch.odd.into_iter().map(|odd| bytes(py, odd)).collect()))
    }

    /// The answer to a request for a block's diffs; None where it is in any way unusual.
    #[staticmethod]
    fn block_diffs(body: &[u8]) -> Option<PyBlockDiffs> {
        BlockDiffs::read(body).ok().map(|diffs| PyBlockDiffs { diffs })
    }
}

type Batch<'py> = (Vec<Option<PyPrestate>>, Vec<Bound<'py, PyBytes>>);

impl PyTraceReader {
    fn shared(&self, prestate: Prestate) -> PyPrestate {
        PyPrestate { prestate, shown: Arc::clone(&self.shown) }
    }
}

/// What one execution read.
#[pyclass(name = "Prestate", module = "sluice_evm", frozen)]
pub(super) struct PyPrestate {
    prestate: Prestate,
    shown: Arc<ShownCodes>,
}

#[pymethods]
impl PyPrestate {
    /// The packed witness in which the sender has this nonce, and the codes by hash.
    fn pack<'py>(
        &self,
        py: Python<'py>,
        sender: &Bound<'_, PyAny>,
        nonce: &Bound<'_, PyAny>,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyDict>)> {
        let sender = WITNESS.address(sender, "the sender")?;
        let packed = self.prestate.pack(&sender, WITNESS.long(nonce, "the nonce")?);
        let codes = PyDict::new(py);
        for account in self.prestate.accounts() {
            let (hash, code) = self.shown.of(py, account);
            codes.set_item(hash, code)?;
        }
        Ok((PyBytes::new(py, &packed), codes))
    }

    /// (nonce, balance in wei, code, slots) by address.
    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let accounts = PyDict::new(py);
        for account in self.prestate.accounts() {
            let (_, code) = self.shown.of(py, account);
            let balance = integer(py, &U256::from_be_bytes(account.balance.0))?;
            let slots = PyDict::new(py);
            for (key, value) in &account.slots {
                slots.set_item(bytes(py, key.as_slice()), bytes(py, value.as_slice()))?;
            }
            accounts.set_item(bytes(py, account.address.as_slice()), (account.nonce, balance, code, slots))?;
        }
        Ok(accounts)
    }
}

/// What each transaction of a block changed.
#[pyclass(name = "BlockDiffs", module = "sluice_evm", frozen)]
pub(super) struct PyBlockDiffs {
    diffs: BlockDiffs,
}

#[pymethods]
impl PyBlockDiffs {
    /// Whether these are the diffs of these transactions, as far as the node named them.
    fn are_of(&self, tx_hashes: &Bound<'_, PyTuple>) -> PyResult<bool> {
        let hashes: PyResult<Vec<_>> = tx_hashes.iter().map(|hash| BLOCK.hash(&hash, "a transaction's hash")).collect();
        Ok(self.diffs.are_of(hashes?.into_iter()))
    }

    /// The addresses of all accounts that some transaction changed, or merely touched, in order.
    fn touched<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.diffs.touched().map(|each| bytes(py, each.address.as_slice())).collect::<Vec<_>>())
    }

    /// What the block changed in the accounts asked about, of whose slots only those named are told, or all: (nonce, balance
    /// in wei, code, slots) by address, and the accounts that some transaction left without an after; both ascending.
    fn changes<'py>(
        &self,
        py: Python<'py>,
        kept: &Bound<'py, PyDict>,
    ) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyList>)> {
        let (changes, doubtful) = (PyDict::new(py), PyList::empty(py));
        // A block touches far fewer accounts than a market follows.
        for touched in self.diffs.touched() {
            let name = bytes(py, touched.address.as_slice());
            let Some(keep) = kept.get_item(&name)? else { continue };
            let (change, is_doubtful) = touched.change();
            if is_doubtful {
                doubtful.append(&name)?;
            }
            let Some(change) = change else { continue };
            let slots = PyDict::new(py);
            for (key, value) in &change.slots {
                let key = bytes(py, key.as_slice());
                if keep.is_none() || keep.contains(&key)? {
                    slots.set_item(key, bytes(py, value.as_slice()))?;
                }
            }
            let code = change.code.map(|code| bytes(py, &code));
            changes.set_item(name, (change.nonce, amount(py, change.balance)?, code, slots))?;
        }
        Ok((changes, doubtful))
    }

    /// (balance in wei before, where the account was there; after, where it changed) of one account for each transaction.
    fn balances<'py>(&self, py: Python<'py>, account: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let each = self.diffs.balances(&WITNESS.address(account, "the account")?);
        let pairs: PyResult<Vec<_>> =
            each.into_iter().map(|each| Ok((amount(py, each.before)?, amount(py, each.after)?))).collect();
        PyList::new(py, pairs?)
    }

    fn __len__(&self) -> usize {
        self.diffs.transactions()
    }
}

/// The hash and the bytes of a code as Python has them.
type Shown = (Py<PyBytes>, Py<PyBytes>);

/// Codes that Python was handed before, by hash.
#[derive(Default)]
struct ShownCodes {
    codes: Mutex<HashMap<B256, Shown>>,
}

impl ShownCodes {
    fn of<'py>(&self, py: Python<'py>, account: &TouchedAccount) -> (Bound<'py, PyBytes>, Bound<'py, PyBytes>) {
        let Some(code) = &account.code else { return (bytes(py, KECCAK_EMPTY.as_slice()), bytes(py, &[])) };
        if !code.is_shared() {
            return shown(py, code);
        }
        // Nothing of Python's runs while this is locked.
        let mut codes = locked(&self.codes);
        if let Some((hash, code)) = codes.get(&code.hash()) {
            return (hash.bind(py).clone(), code.bind(py).clone());
        }
        let forgotten = if codes.len() >= SHOWN { std::mem::take(&mut *codes) } else { HashMap::new() };
        let made = shown(py, code);
        codes.insert(code.hash(), (made.0.clone().unbind(), made.1.clone().unbind()));
        drop(codes);
        drop(forgotten);
        made
    }
}

fn shown<'py>(py: Python<'py>, code: &Code) -> (Bound<'py, PyBytes>, Bound<'py, PyBytes>) {
    (bytes(py, code.hash().as_slice()), bytes(py, &code.bytes()))
}

fn bytes<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, bytes)
}

fn amount<'py>(py: Python<'py>, amount: Option<B256>) -> PyResult<Option<Bound<'py, PyAny>>> {
    amount.map(|amount| integer(py, &U256::from_be_bytes(amount.0))).transpose()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
