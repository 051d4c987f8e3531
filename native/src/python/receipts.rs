use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use revm::primitives::U256;

use super::arguments::Arguments;
use super::signed::amount;
use crate::error::InputKind;
use crate::traces::{BlockReceipts, Expected, Log};

const BLOCK: Arguments = Arguments(InputKind::Block);

/// Sender, recipient or nothing, status, gas used, wei per gas.
type Columns<'py> =
    (Bound<'py, PyList>, Bound<'py, PyList>, Bound<'py, PyList>, Bound<'py, PyList>, Bound<'py, PyList>);

/// A block's receipts and logs.
#[pyclass(name = "BlockReceipts", module = "sluice_evm", frozen)]
pub(super) struct PyBlockReceipts {
    block: BlockReceipts,
}

#[pymethods]
impl PyBlockReceipts {
    /// The answer to a request for the receipts of this block; None where it is in any way unusual.
    #[staticmethod]
    fn read(
        body: &[u8],
        block_hash: &Bound<'_, PyAny>,
        gas_used: &Bound<'_, PyAny>,
        tx_hashes: &Bound<'_, PyTuple>,
    ) -> PyResult<Option<Self>> {
        let hashes: PyResult<Vec<_>> = tx_hashes.iter().map(|hash| BLOCK.hash(&hash, "a transaction's hash")).collect();
        let expected = Expected {
            block_hash: BLOCK.hash(block_hash, "the block's hash")?,
            gas_used: BLOCK.long(gas_used, "the gas used")?,
            transactions: &hashes?,
        };
        Ok(BlockReceipts::read(body, &expected).ok().map(|block| Self { block }))
    }

    /// The receipts of all transactions, in order.
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Columns<'py>> {
        let receipts = self.block.receipts();
        let prices: PyResult<Vec<_>> =
            receipts.iter().map(|receipt| amount(py, &U256::from_be_bytes(receipt.effective_gas_price.0))).collect();
        Ok((
            PyList::new(py, receipts.iter().map(|receipt| bytes(py, receipt.sender.as_slice())))?,
            PyList::new(
                py,
                receipts.iter().map(|receipt| bytes(py, receipt.to.as_ref().map_or(&[], |to| to.as_slice()))),
            )?,
            PyList::new(py, receipts.iter().map(|receipt| u8::from(receipt.succeeded)))?,
            PyList::new(py, receipts.iter().map(|receipt| receipt.gas_used))?,
            PyList::new(py, prices?)?,
        ))
    }

    /// The logs of these emitters that begin with one of these topics. Each container is asked once for each that there is.
    #[pyo3(signature = (emitters, first_topics=None))]
    fn logs_of<'py>(
        &self,
        emitters: &Bound<'py, PyAny>,
        first_topics: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let (mut emitters, mut topics) = (Wanted::of(emitters), first_topics.map(Wanted::of));
        let found = PyList::empty(emitters.among.py());
        for log in self.block.logs() {
            let Some(address) = emitters.name(log.address)? else { continue };
            let first = match (&mut topics, log.topics.first()) {
                (None, _) => None,
                (Some(_), None) => continue,
                (Some(topics), Some(first)) => match topics.name(first)? {
                    None => continue,
                    wanted => wanted,
                },
            };
            found.append(shown(&log, address, first)?)?;
        }
        Ok(found)
    }

    /// All logs of one transaction.
    fn logs<'py>(&self, py: Python<'py>, transaction: usize) -> PyResult<Bound<'py, PyList>> {
        let found = PyList::empty(py);
        for log in self.block.logs_of(transaction) {
            found.append(shown(&log, bytes(py, log.address.as_slice()), None)?)?;
        }
        Ok(found)
    }

    fn __len__(&self) -> usize {
        self.block.receipts().len()
    }
}

/// What a container has of a block's emitters or topics, as Python's objects.
struct Wanted<'a, 'py, T> {
    among: &'a Bound<'py, PyAny>,
    known: HashMap<T, Option<Bound<'py, PyBytes>>>,
}

impl<'a, 'py, T: AsRef<[u8]> + Copy + Eq + Hash> Wanted<'a, 'py, T> {
    fn of(among: &'a Bound<'py, PyAny>) -> Self {
        Self { among, known: HashMap::new() }
    }

    /// The bytes of a value; none where it is not wanted.
    fn name(&mut self, value: &T) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.known.entry(*value) {
            Entry::Occupied(known) => Ok(known.get().clone()),
            Entry::Vacant(place) => {
                let name = bytes(self.among.py(), value.as_ref());
                let wanted = self.among.contains(&name)?.then_some(name);
                Ok(place.insert(wanted).clone())
            }
        }
    }
}

/// (emitter, topics, data, place of the transaction, place in the block), with the first topic as it is already there.
fn shown<'py>(
    log: &Log<'_>,
    address: Bound<'py, PyBytes>,
    first: Option<Bound<'py, PyBytes>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let py = address.py();
    let rest = log.topics.iter().skip(first.iter().len()).map(|topic| bytes(py, topic));
    let topics: Vec<_> = first.into_iter().chain(rest).collect();
    (address, PyTuple::new(py, topics)?, bytes(py, log.data), log.transaction, log.index).into_pyobject(py)
}

fn bytes<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, bytes)
}
