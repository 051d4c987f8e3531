use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arguments::Arguments;
use crate::codes::CodeStore;
use crate::error::InputKind;

const WITNESS: Arguments = Arguments(InputKind::Witness);

/// Codes by their keccak, analysed once.
#[pyclass(name = "CodeStore", module = "sluice_evm", frozen)]
pub(super) struct PyCodeStore {
    pub(super) codes: CodeStore,
}

#[pymethods]
impl PyCodeStore {
    #[new]
    fn new() -> Self {
        Self { codes: CodeStore::new() }
    }

    /// Make a code known; its hash.
    fn add<'py>(&self, py: Python<'py>, code: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.codes.add(code).as_slice())
    }

    /// Make a code known under the hash it is said to have. Raises `WitnessError` if it has another.
    fn add_checked(&self, code_hash: &Bound<'_, PyAny>, code: &[u8]) -> PyResult<()> {
        self.codes.add_checked(WITNESS.hash(code_hash, "the code hash")?, code)?;
        Ok(())
    }

    /// Make a code known under the hash that the caller has computed himself.
    fn add_known(&self, code_hash: &Bound<'_, PyAny>, code: &[u8]) -> PyResult<()> {
        self.codes.add_known(WITNESS.hash(code_hash, "the code hash")?, code);
        Ok(())
    }

    fn __contains__(&self, code_hash: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.codes.get(&WITNESS.hash(code_hash, "the code hash")?).is_some())
    }

    fn __len__(&self) -> usize {
        self.codes.len()
    }

    /// Forget all codes; witnesses made before keep theirs.
    fn clear(&self) {
        self.codes.clear();
    }
}
