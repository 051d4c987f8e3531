use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use revm::primitives::Log;

use super::witness::{integer, word};
use crate::verdict::Verdict;

/// What one transaction came to.
#[pyclass(name = "Verdict", module = "sluice_evm", frozen)]
pub(super) struct PyVerdict {
    pub(super) verdict: Verdict,
}

#[pymethods]
impl PyVerdict {
    /// "success", "reverted", "halted" or "refused".
    #[getter]
    fn kind(&self) -> &'static str {
        self.verdict.kind.name()
    }

    #[getter]
    fn reason(&self) -> &str {
        &self.verdict.reason
    }

    #[getter]
    fn detail(&self) -> &str {
        &self.verdict.detail
    }

    #[getter]
    fn gas_used(&self) -> u64 {
        self.verdict.gas_used
    }

    #[getter]
    fn effective_gas_price(&self) -> u128 {
        self.verdict.effective_gas_price
    }

    /// (address, topics, data) of each log.
    #[getter]
    fn logs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let logs: PyResult<Vec<_>> = self.verdict.logs.iter().map(|log| log_parts(py, log)).collect();
        PyList::new(py, logs?)
    }

    #[getter]
    fn output<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.verdict.output)
    }

    /// The address of the contract a creation made.
    #[getter]
    fn created<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.verdict.created.as_ref().map(|address| PyBytes::new(py, address.as_slice()))
    }

    /// (address, key, value before, value after) of each slot read or written, in order.
    #[getter]
    fn slots<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let slots = self.verdict.slots.iter().map(|slot| {
            let address = PyBytes::new(py, slot.address.as_slice());
            (address, word(py, &slot.key), word(py, &slot.before), word(py, &slot.after))
        });
        PyList::new(py, slots.collect::<Vec<_>>())
    }

    /// (address, balance before, after, nonce before, after) of each account whose balance or nonce changed, in order.
    #[getter]
    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let accounts: PyResult<Vec<_>> = self
            .verdict
            .accounts
            .iter()
            .map(|change| {
                let address = PyBytes::new(py, change.address.as_slice());
                let before = integer(py, &change.balance_before)?;
                let after = integer(py, &change.balance_after)?;
                Ok((address, before, after, change.nonce_before, change.nonce_after))
            })
            .collect();
        PyList::new(py, accounts?)
    }

    /// The addresses of all accounts read or written, in order.
    #[getter]
    fn loaded<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.verdict.loaded.iter().map(|address| PyBytes::new(py, address.as_slice())))
    }

    fn __repr__(&self) -> String {
        let verdict = &self.verdict;
        format!("<Verdict {} {} gas {}>", verdict.kind.name(), verdict.detail, verdict.gas_used)
    }
}

fn log_parts<'py>(py: Python<'py>, log: &Log) -> PyResult<Bound<'py, PyTuple>> {
    let topics = PyTuple::new(py, log.data.topics().iter().map(|topic| PyBytes::new(py, topic.as_slice())))?;
    (PyBytes::new(py, log.address.as_slice()), topics, PyBytes::new(py, &log.data.data)).into_pyobject(py)
}
