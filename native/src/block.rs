//! The block that transactions run in.

use std::collections::BTreeMap;

use revm::context::{BlockEnv, CfgEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, B256, U256};

use crate::budget::Budget;
use crate::error::InputError;
use crate::fork::Fork;

/// e^48 blob gas prices are beyond all ether there is; the approximation of EIP-4844 stays inside 128 bits up to there.
const MOST_BLOB_EXPONENT: u64 = 48;

/// What the protocol's calls before a block's first transaction hand over; each is made if its word is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemCalls {
    /// The parent's hash, for EIP-2935 (from Prague on).
    pub parent_hash: Option<B256>,
    /// The parent's beacon block root, for EIP-4788 (from Cancun on).
    pub beacon_root: Option<B256>,
}

/// A block's environment. Amounts in wei per gas, the timestamp in unix seconds.
#[derive(Clone, Debug)]
pub struct Block {
    pub(crate) fork: Fork,
    pub(crate) chain_id: u64,
    pub(crate) env: BlockEnv,
    pub(crate) blob_fraction: u64,
    pub(crate) block_hashes: BTreeMap<u64, B256>,
    pub(crate) system_calls: SystemCalls,
}

impl Block {
    /// A block without blob gas, history or system calls. `randomness` is the header's `mixHash` from Merge on.
    #[must_use]
    #[allow(clippy::too_many_arguments)] // the header's fields; a builder would let one be forgotten
    pub fn new(
        fork: Fork,
        chain_id: u64,
        number: u64,
        timestamp: u64,
        coinbase: Address,
        base_fee: u64,
        gas_limit: u64,
        randomness: B256,
        difficulty: U256,
    ) -> Self {
        let env = BlockEnv {
            number: U256::from(number),
            beneficiary: coinbase,
            timestamp: U256::from(timestamp),
            gas_limit,
            basefee: base_fee,
            difficulty,
            prevrandao: fork.includes(SpecId::MERGE).then_some(randomness),
            blob_excess_gas_and_price: fork
                .includes(SpecId::CANCUN)
                .then(|| BlobExcessGasAndPrice::new(0, fork.blob_fraction())),
            slot_num: 0,
        };
        Self {
            fork,
            chain_id,
            env,
            blob_fraction: fork.blob_fraction(),
            block_hashes: BTreeMap::new(),
            system_calls: SystemCalls::default(),
        }
    }

    /// Sets the excess blob gas, and the update fraction where the chain's blob schedule differs from the fork's.
    pub fn with_blob_gas(mut self, excess: u64, fraction: Option<u64>) -> Result<Self, InputError> {
        let fraction = fraction.unwrap_or(self.blob_fraction);
        if fraction == 0 || excess / fraction > MOST_BLOB_EXPONENT || fraction > 1 << 32 {
            return Err(InputError::block(format!(
                "excess blob gas {excess} with update fraction {fraction} gives no blob price that anyone could pay"
            )));
        }
        self.blob_fraction = fraction;
        if self.fork.includes(SpecId::CANCUN) {
            self.env.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice::new(excess, fraction));
        }
        Ok(self)
    }

    /// Gives the hashes of earlier blocks that BLOCKHASH may ask for.
    #[must_use]
    pub fn with_block_hashes(mut self, hashes: BTreeMap<u64, B256>) -> Self {
        self.block_hashes = hashes;
        self
    }

    /// Asks for the protocol's calls before the first transaction.
    #[must_use]
    pub const fn with_system_calls(mut self, calls: SystemCalls) -> Self {
        self.system_calls = calls;
        self
    }

    pub(crate) fn config(&self, budget: &Budget) -> CfgEnv {
        // The fork must come in here: setting it later would leave the other fork's gas table in place.
        let mut config = CfgEnv::new_with_spec(self.fork.spec()).with_chain_id(self.chain_id);
        config.blob_base_fee_update_fraction = Some(self.blob_fraction);
        config.max_blobs_per_tx = Some(self.fork.most_blobs());
        config.memory_limit = budget.memory;
        config
    }
}
