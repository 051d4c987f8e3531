use pyo3::prelude::*;
use revm::primitives::{Address, B256, Bytes};

use super::arguments::Arguments;
use crate::error::InputKind;
use crate::transaction::{Authority, Authorization, Transaction};

const TRANSACTION: Arguments = Arguments(InputKind::Transaction);

/// A transaction with its sender; fees in wei per gas.
#[pyclass(name = "Transaction", module = "sluice_evm", frozen)]
pub(super) struct PyTransaction {
    pub(super) tx: Transaction,
}

#[pymethods]
impl PyTransaction {
    #[new]
    #[pyo3(signature = (
        *, sender, to, nonce, value, data, gas_limit, max_fee, priority_fee, tx_type, chain_id = None,
        access_list = None, blob_hashes = None, max_blob_fee = None, authorizations = None,
    ))]
    #[allow(clippy::too_many_arguments)] // keyword arguments: the transaction's fields
    fn new(
        sender: &Bound<'_, PyAny>,
        to: &Bound<'_, PyAny>,
        nonce: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        gas_limit: &Bound<'_, PyAny>,
        max_fee: &Bound<'_, PyAny>,
        priority_fee: &Bound<'_, PyAny>,
        tx_type: &Bound<'_, PyAny>,
        chain_id: Option<&Bound<'_, PyAny>>,
        access_list: Option<&Bound<'_, PyAny>>,
        blob_hashes: Option<&Bound<'_, PyAny>>,
        max_blob_fee: Option<&Bound<'_, PyAny>>,
        authorizations: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let tx_type = TRANSACTION.long(tx_type, "tx_type")?;
        let tx = Transaction {
            sender: TRANSACTION.address(sender, "sender")?,
            to: recipient(to)?,
            nonce: TRANSACTION.long(nonce, "nonce")?,
            value: TRANSACTION.word(value, "value")?,
            data: Bytes::copy_from_slice(TRANSACTION.any_bytes(data, "data")?.as_bytes()),
            gas_limit: TRANSACTION.long(gas_limit, "gas_limit")?,
            max_fee: TRANSACTION.fee(max_fee, "max_fee")?,
            priority_fee: TRANSACTION.fee(priority_fee, "priority_fee")?,
            tx_type: u8::try_from(tx_type)
                .map_err(|_| TRANSACTION.error(format!("tx_type {tx_type} is wider than a byte")))?,
            chain_id: chain_id.map(|value| TRANSACTION.long(value, "chain_id")).transpose()?,
            access_list: access_list.map_or(Ok(Vec::new()), read_access_list)?,
            blob_hashes: blob_hashes.map_or(Ok(Vec::new()), |value| hashes(value, "blob_hashes"))?,
            max_blob_fee: max_blob_fee.map_or(Ok(0), |value| TRANSACTION.fee(value, "max_blob_fee"))?,
            authorizations: authorizations.map_or(Ok(Vec::new()), read_authorizations)?,
        };
        Ok(Self { tx })
    }
}

/// Empty bytes or None for a creation.
fn recipient(to: &Bound<'_, PyAny>) -> PyResult<Option<Address>> {
    if to.is_none() || TRANSACTION.any_bytes(to, "to")?.as_bytes().is_empty() {
        return Ok(None);
    }
    TRANSACTION.address(to, "to").map(Some)
}

fn items<'py>(value: &Bound<'py, PyAny>, what: &str) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let iterator = value.try_iter().map_err(|_| TRANSACTION.error(format!("{what} must be a sequence")))?;
    iterator.collect()
}

fn hashes(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<B256>> {
    items(value, what)?.iter().map(|item| TRANSACTION.hash(item, what)).collect()
}

fn read_access_list(value: &Bound<'_, PyAny>) -> PyResult<Vec<(Address, Vec<B256>)>> {
    items(value, "access_list")?
        .iter()
        .map(|entry| match items(entry, "an entry of access_list")?.as_slice() {
            [address, keys] => {
                Ok((TRANSACTION.address(address, "an address of access_list")?, hashes(keys, "a key of access_list")?))
            }
            _ => Err(TRANSACTION.error("an entry of access_list must be (address, keys)".to_owned())),
        })
        .collect()
}

fn read_authorizations(value: &Bound<'_, PyAny>) -> PyResult<Vec<Authorization>> {
    items(value, "authorizations")?.iter().map(read_authorization).collect()
}

/// (chain id, address, nonce, authority or None) or (chain id, address, nonce, y parity, r, s).
fn read_authorization(entry: &Bound<'_, PyAny>) -> PyResult<Authorization> {
    let fields = items(entry, "an authorization")?;
    let ([chain_id, address, nonce, authority @ ..], 4 | 6) = (fields.as_slice(), fields.len()) else {
        return Err(TRANSACTION.error(
            "an authorization must be (chain id, address, nonce, authority) or (…, y parity, r, s)".to_owned(),
        ));
    };
    let authority = match authority {
        [y_parity, r, s] => Authority::Signed {
            // What is no byte is no valid parity either; the protocol skips such an entry.
            y_parity: u8::try_from(TRANSACTION.long(y_parity, "an authorization's y parity")?).unwrap_or(u8::MAX),
            r: TRANSACTION.word(r, "an authorization's r")?,
            s: TRANSACTION.word(s, "an authorization's s")?,
        },
        [authority] if !authority.is_none() => {
            Authority::Recovered(Some(TRANSACTION.address(authority, "an authorization's authority")?))
        }
        _ => Authority::Recovered(None),
    };
    Ok(Authorization {
        chain_id: TRANSACTION.word(chain_id, "an authorization's chain id")?,
        address: TRANSACTION.address(address, "an authorization's address")?,
        nonce: TRANSACTION.long(nonce, "an authorization's nonce")?,
        authority,
    })
}
