//! Python values as the crate's types. What does not fit is an exception that names the argument.

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt};
use revm::primitives::{Address, B256, U256};

use super::errors::input_error;
use crate::error::InputKind;

/// Reads the arguments of one kind of input.
#[derive(Clone, Copy)]
pub(super) struct Arguments(pub(super) InputKind);

impl Arguments {
    pub(super) fn error(self, message: String) -> PyErr {
        input_error(self.0, message)
    }

    pub(super) fn bytes<'py, const N: usize>(self, value: &Bound<'py, PyAny>, what: &str) -> PyResult<[u8; N]> {
        let bytes = self.any_bytes(value, what)?;
        let slice = bytes.as_bytes();
        slice.try_into().map_err(|_| self.error(format!("{what} has {} bytes, not {N}", slice.len())))
    }

    pub(super) fn any_bytes<'a, 'py>(
        self,
        value: &'a Bound<'py, PyAny>,
        what: &str,
    ) -> PyResult<&'a Bound<'py, PyBytes>> {
        value.cast::<PyBytes>().map_err(|_| self.wrong_type(value, what, "bytes"))
    }

    pub(super) fn address(self, value: &Bound<'_, PyAny>, what: &str) -> PyResult<Address> {
        self.bytes(value, what).map(Address::new)
    }

    pub(super) fn hash(self, value: &Bound<'_, PyAny>, what: &str) -> PyResult<B256> {
        self.bytes(value, what).map(B256::new)
    }

    /// A 256-bit amount: 32 bytes, or an int (slower).
    pub(super) fn word(self, value: &Bound<'_, PyAny>, what: &str) -> PyResult<U256> {
        if value.is_instance_of::<PyBytes>() {
            return self.bytes::<32>(value, what).map(U256::from_be_bytes);
        }
        self.integer(value, what)?;
        if let Ok(small) = value.extract::<u64>() {
            return Ok(U256::from(small));
        }
        let packed = value
            .call_method1("to_bytes", (32, "big"))
            .map_err(|error| self.out_of_range(value.py(), error, what, "256 bits"))?;
        self.bytes::<32>(&packed, what).map(U256::from_be_bytes)
    }

    pub(super) fn long(self, value: &Bound<'_, PyAny>, what: &str) -> PyResult<u64> {
        self.integer(value, what)?;
        value.extract::<u64>().map_err(|error| self.out_of_range(value.py(), error, what, "64 bits"))
    }

    pub(super) fn fee(self, value: &Bound<'_, PyAny>, what: &str) -> PyResult<u128> {
        self.integer(value, what)?;
        if let Ok(small) = value.extract::<u64>() {
            return Ok(u128::from(small));
        }
        value.extract::<u128>().map_err(|error| self.out_of_range(value.py(), error, what, "128 bits"))
    }

    fn integer(self, value: &Bound<'_, PyAny>, what: &str) -> PyResult<()> {
        if value.is_instance_of::<PyInt>() { Ok(()) } else { Err(self.wrong_type(value, what, "an int")) }
    }

    fn wrong_type(self, value: &Bound<'_, PyAny>, what: &str, wanted: &str) -> PyErr {
        let given = value.get_type().name().map_or_else(|_| "something else".to_owned(), |name| name.to_string());
        self.error(format!("{what} must be {wanted}, not {given}"))
    }

    fn out_of_range(self, py: Python<'_>, error: PyErr, what: &str, range: &str) -> PyErr {
        if error.is_instance_of::<PyOverflowError>(py) || error.is_instance_of::<PyTypeError>(py) {
            return self.error(format!("{what} is negative or wider than {range}"));
        }
        error
    }
}
