use pyo3::IntoPyObject;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use revm::primitives::U256;

use super::witness::integer;
use crate::signed::{AccessEntry, Signed};
use crate::signed_json;

/// The fields of a signed transaction of types 0 to 2, and what was signed; None where it is not plainly in its one form.
#[pyfunction]
pub(super) fn read_signed<'py>(raw: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let py = raw.py();
    let Some(signed) = raw.cast::<PyBytes>().ok().and_then(|raw| Signed::read(raw.as_bytes())) else {
        return Ok(None);
    };
    let fields = [
        PyBytes::new(py, signed.digest.as_slice()).into_any(),
        PyBytes::new(py, &signed.signature).into_any(),
        signed.chain_id.into_pyobject(py)?.into_any(),
        PyBytes::new(py, signed.hash.as_slice()).into_any(),
        signed.tx_type.into_pyobject(py)?.into_any(),
        signed.nonce.into_pyobject(py)?.into_any(),
        PyBytes::new(py, signed.to).into_any(),
        amount(py, &signed.value)?,
        signed.gas_limit.into_pyobject(py)?.into_any(),
        amount(py, &signed.max_fee)?,
        amount(py, &signed.max_priority_fee)?,
        PyBytes::new(py, signed.data).into_any(),
        access_list(py, &signed.access_list)?.into_any(),
    ];
    PyTuple::new(py, fields).map(Some)
}

/// The hash of a transaction object of types 0 to 2, and the signed bytes that have it; None where they do not, or it is an unusual one.
#[pyfunction]
pub(super) fn signed_bytes<'py>(object: &Bound<'py, PyAny>) -> Option<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let py = object.py();
    let (hash, raw) = signed_json::signed_bytes(object.cast::<PyBytes>().ok()?.as_bytes())?;
    Some((PyBytes::new(py, hash.as_slice()), PyBytes::new(py, &raw)))
}

/// Nearly all fit a machine word.
pub(super) fn amount<'py>(py: Python<'py>, value: &U256) -> PyResult<Bound<'py, PyAny>> {
    match u64::try_from(*value) {
        Ok(small) => Ok(small.into_pyobject(py)?.into_any()),
        Err(_) => integer(py, value),
    }
}

fn access_list<'py>(py: Python<'py>, entries: &[AccessEntry<'_>]) -> PyResult<Bound<'py, PyTuple>> {
    let entries = entries
        .iter()
        .map(|(address, keys)| {
            let keys = PyTuple::new(py, keys.iter().map(|key| PyBytes::new(py, key)))?;
            (PyBytes::new(py, address), keys).into_pyobject(py)
        })
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, entries)
}
