use std::collections::BTreeSet;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use revm::primitives::{B256, KECCAK_EMPTY, U256};
use revm::state::AccountInfo;

use super::arguments::Arguments;
use super::codes::PyCodeStore;
use crate::error::InputKind;
use crate::witness::{LayerBuilder, Witness};

const WITNESS: Arguments = Arguments(InputKind::Witness);
const VIEW: usize = 5;

/// State in layers, the newest on top; immutable, cheap to layer and to share between threads.
#[pyclass(name = "Witness", module = "sluice_evm", frozen)]
pub(super) struct PyWitness {
    pub(super) witness: Witness,
}

#[pymethods]
impl PyWitness {
    /// Read the packed form. Raises `WitnessError`.
    #[staticmethod]
    fn parse(packed: &[u8], codes: &PyCodeStore) -> PyResult<Self> {
        Ok(Self { witness: Witness::parse(packed, &codes.codes)? })
    }

    /// A witness of (nonce, balance, code hash, slots, complete) by address. Codes are found in the store by hash.
    #[staticmethod]
    fn of_views(accounts: &Bound<'_, PyDict>, codes: &PyCodeStore) -> PyResult<Self> {
        let mut builder = LayerBuilder::with_capacity(accounts.len());
        for (address, view) in accounts {
            let address = WITNESS.address(&address, "an address")?;
            let view = view
                .cast::<PyTuple>()
                .ok()
                .filter(|view| view.len() == VIEW)
                .ok_or_else(|| WITNESS.error(format!("account {address} is no tuple of {VIEW}")))?;
            let code_hash = WITNESS.hash(&view.get_item(2)?, "a code hash")?;
            let info = AccountInfo {
                nonce: WITNESS.long(&view.get_item(0)?, "a nonce")?,
                balance: WITNESS.word(&view.get_item(1)?, "a balance")?,
                code_hash,
                code: codes.codes.get(&code_hash),
                ..Default::default()
            };
            let slots = slots_of(&view.get_item(3)?)?;
            let complete = view.get_item(4)?.is_truthy()?;
            builder.add(address, info, complete, slots)?;
        }
        Ok(Self { witness: Witness::new(builder.finish()?) })
    }

    /// A new witness with `over` on top of this one.
    fn layered(&self, over: &Self) -> Self {
        Self { witness: self.witness.layered(&over.witness) }
    }

    /// The packed form of all layers as one, with the codes of its accounts or without.
    #[pyo3(signature = (*, codes = true))]
    fn pack<'py>(&self, py: Python<'py>, codes: bool) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.witness.flattened().pack(codes))
    }

    /// All layers as one: (nonce, balance, code hash, slots, complete) by address.
    fn views<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (flat, views) = (self.witness.flattened(), PyDict::new(py));
        for (address, account) in flat.accounts() {
            let slots = PyDict::new(py);
            for (key, value) in flat.slots(account) {
                slots.set_item(word(py, key), word(py, value))?;
            }
            let info = &account.info;
            let view = (
                info.nonce,
                integer(py, &info.balance)?,
                PyBytes::new(py, info.code_hash.as_slice()),
                slots,
                account.complete,
            );
            views.set_item(PyBytes::new(py, address.as_slice()), view)?;
        }
        Ok(views)
    }

    /// The codes that accounts of this witness have and that are known, by hash.
    fn codes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let codes = PyDict::new(py);
        for (_, account) in self.witness.layers().iter().flat_map(|layer| layer.accounts()) {
            let info = &account.info;
            if let Some(code) = info.code.as_ref().filter(|_| info.code_hash != KECCAK_EMPTY) {
                codes.set_item(
                    PyBytes::new(py, info.code_hash.as_slice()),
                    PyBytes::new(py, code.original_byte_slice()),
                )?;
            }
        }
        Ok(codes)
    }

    /// The hashes of codes that accounts of this witness have and that are not known, each once.
    fn missing_codes<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        let accounts = self.witness.layers().iter().flat_map(|layer| layer.accounts());
        let missing = accounts.filter(|(_, account)| account.info.code.is_none());
        let hashes: BTreeSet<B256> = missing.map(|(_, account)| account.info.code_hash).collect();
        hashes.iter().map(|hash| PyBytes::new(py, hash.as_slice())).collect()
    }

    /// The value of a slot; None where it is unknown.
    fn slot<'py>(
        &self,
        py: Python<'py>,
        address: &Bound<'_, PyAny>,
        key: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let address = WITNESS.address(address, "the address")?;
        let key = U256::from_be_bytes(WITNESS.bytes::<32>(key, "the key")?);
        Ok(self.witness.slot(&address, &key).map(|value| word(py, &value)))
    }

    /// Whether the account is known.
    fn __contains__(&self, address: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.witness.account(&WITNESS.address(address, "the address")?).is_some())
    }
}

fn slots_of(slots: &Bound<'_, PyAny>) -> PyResult<Vec<(U256, U256)>> {
    let slots =
        slots.cast::<PyDict>().map_err(|_| WITNESS.error("the slots of an account must be a dict".to_owned()))?;
    slots
        .iter()
        .map(|(key, value)| {
            let key = WITNESS.bytes::<32>(&key, "a slot's key")?;
            let value = WITNESS.bytes::<32>(&value, "a slot's value")?;
            Ok((U256::from_be_bytes(key), U256::from_be_bytes(value)))
        })
        .collect()
}

pub(super) fn word<'py>(py: Python<'py>, value: &U256) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &value.to_be_bytes::<32>())
}

/// A 256-bit amount as a Python int.
pub(super) fn integer<'py>(py: Python<'py>, value: &U256) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(small) = u128::try_from(*value) {
        return Ok(small.into_pyobject(py)?.into_any());
    }
    py.get_type::<pyo3::types::PyInt>().call_method1("from_bytes", (word(py, value), "big"))
}
