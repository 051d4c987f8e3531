use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use revm::primitives::{B256, U256};

use super::arguments::Arguments;
use crate::block::{Block, SystemCalls};
use crate::error::InputKind;
use crate::fork::Fork;

const BLOCK: Arguments = Arguments(InputKind::Block);

/// The block that transactions run in; amounts in wei per gas, the timestamp in unix seconds.
#[pyclass(name = "Block", module = "sluice_evm", frozen)]
pub(super) struct PyBlock {
    pub(super) block: Block,
}

#[pymethods]
impl PyBlock {
    #[new]
    #[pyo3(signature = (
        *, fork, chain_id, number, timestamp, coinbase, base_fee, gas_limit, prevrandao = None, difficulty = None,
        excess_blob_gas = None, blob_fraction = None, block_hashes = None, parent_hash = None, beacon_root = None,
    ))]
    #[allow(clippy::too_many_arguments)] // keyword arguments: the header's fields
    fn new(
        fork: &str,
        chain_id: &Bound<'_, PyAny>,
        number: &Bound<'_, PyAny>,
        timestamp: &Bound<'_, PyAny>,
        coinbase: &Bound<'_, PyAny>,
        base_fee: &Bound<'_, PyAny>,
        gas_limit: &Bound<'_, PyAny>,
        prevrandao: Option<&Bound<'_, PyAny>>,
        difficulty: Option<&Bound<'_, PyAny>>,
        excess_blob_gas: Option<&Bound<'_, PyAny>>,
        blob_fraction: Option<&Bound<'_, PyAny>>,
        block_hashes: Option<&Bound<'_, PyDict>>,
        parent_hash: Option<&Bound<'_, PyAny>>,
        beacon_root: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let hash =
            |value: Option<&Bound<'_, PyAny>>, what: &str| value.map(|value| BLOCK.hash(value, what)).transpose();
        let long =
            |value: Option<&Bound<'_, PyAny>>, what: &str| value.map(|value| BLOCK.long(value, what)).transpose();
        let mut hashes = BTreeMap::new();
        for (number, value) in block_hashes.into_iter().flatten() {
            hashes.insert(BLOCK.long(&number, "a block hash's number")?, BLOCK.hash(&value, "a block hash")?);
        }
        let block = Block::new(
            Fork::named(fork)?,
            BLOCK.long(chain_id, "chain_id")?,
            BLOCK.long(number, "number")?,
            BLOCK.long(timestamp, "timestamp")?,
            BLOCK.address(coinbase, "coinbase")?,
            BLOCK.long(base_fee, "base_fee")?,
            BLOCK.long(gas_limit, "gas_limit")?,
            hash(prevrandao, "prevrandao")?.unwrap_or(B256::ZERO),
            difficulty.map_or(Ok(U256::ZERO), |value| BLOCK.word(value, "difficulty"))?,
        )
        .with_blob_gas(
            long(excess_blob_gas, "excess_blob_gas")?.unwrap_or_default(),
            long(blob_fraction, "blob_fraction")?,
        )?
        .with_block_hashes(hashes)
        .with_system_calls(SystemCalls {
            parent_hash: hash(parent_hash, "parent_hash")?,
            beacon_root: hash(beacon_root, "beacon_root")?,
        });
        Ok(Self { block })
    }
}
