//! The Python module `sluice_evm._native`. Every input is checked here or in the crate; nothing a caller passes panics.

mod arguments;
mod block;
mod codes;
mod errors;
mod receipts;
mod run;
mod signed;
mod traces;
mod transaction;
mod verdict;
mod witness;

#[pyo3::pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::block::PyBlock;
    #[pymodule_export]
    use super::codes::PyCodeStore;
    #[pymodule_export]
    use super::errors::{BlockError, ForkError, InputError, TransactionError, WitnessError};
    #[pymodule_export]
    use super::receipts::PyBlockReceipts;
    #[pymodule_export]
    use super::run::{PyBudget, PyExecution, execute, execute_cases, execute_each};
    #[pymodule_export]
    use super::signed::{read_signed, signed_bytes};
    #[pymodule_export]
    use super::traces::{PyBlockDiffs, PyPrestate, PyTraceReader};
    #[pymodule_export]
    use super::transaction::PyTransaction;
    #[pymodule_export]
    use super::verdict::PyVerdict;
    #[pymodule_export]
    use super::witness::PyWitness;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
        module.add("REVM_VERSION", crate::REVM_VERSION)?;
        module.add("FORKS", crate::FORK_NAMES)
    }
}
