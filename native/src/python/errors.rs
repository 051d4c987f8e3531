//! The exceptions, one for each kind of input.

#![allow(missing_docs)] // the macro's output cannot be documented otherwise

use pyo3::PyErr;
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;

use crate::error::{InputError as Error, InputKind};

create_exception!(sluice_evm, InputError, PyValueError, "Input that is not what it claims to be.");
create_exception!(sluice_evm, WitnessError, InputError, "A witness, an account or a code is malformed.");
create_exception!(sluice_evm, BlockError, InputError, "A block environment is malformed.");
create_exception!(sluice_evm, TransactionError, InputError, "A transaction is malformed.");
create_exception!(sluice_evm, ForkError, InputError, "The fork's name is unknown.");

pub(super) fn input_error(kind: InputKind, message: String) -> PyErr {
    match kind {
        InputKind::Witness => WitnessError::new_err(message),
        InputKind::Block => BlockError::new_err(message),
        InputKind::Transaction => TransactionError::new_err(message),
        InputKind::Fork => ForkError::new_err(message),
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        input_error(error.kind, error.message)
    }
}
