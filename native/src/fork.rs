//! The forks, by name. An unknown name is an error, never the latest rules.

use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, eip4844};

use crate::error::InputError;

/// The names, oldest first.
pub const FORK_NAMES: [&str; 8] = ["Istanbul", "Berlin", "London", "Merge", "Shanghai", "Cancun", "Prague", "Osaka"];

const SPECS: [SpecId; 8] = [
    SpecId::ISTANBUL,
    SpecId::BERLIN,
    SpecId::LONDON,
    SpecId::MERGE,
    SpecId::SHANGHAI,
    SpecId::CANCUN,
    SpecId::PRAGUE,
    SpecId::OSAKA,
];

/// A fork whose rules are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork(SpecId);

impl Fork {
    /// The fork of this name, exactly as written in [`FORK_NAMES`].
    pub fn named(name: &str) -> Result<Self, InputError> {
        let at = FORK_NAMES.iter().position(|known| *known == name);
        at.and_then(|at| SPECS.get(at)).map(|spec| Self(*spec)).ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            InputError::fork(format!("unknown fork {shown:?}; known are {}", FORK_NAMES.join(", ")))
        })
    }

    pub(crate) const fn spec(self) -> SpecId {
        self.0
    }

    pub(crate) const fn includes(self, other: SpecId) -> bool {
        self.0.is_enabled_in(other)
    }

    /// How fast the blob base fee follows demand (EIP-4844, EIP-7691), unless the chain's blob schedule says otherwise.
    pub(crate) const fn blob_fraction(self) -> u64 {
        if self.includes(SpecId::PRAGUE) {
            eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE
        } else {
            eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_CANCUN
        }
    }

    /// The most blobs of one transaction: those of a block (EIP-4844, EIP-7691), and six by themselves from EIP-7594 on.
    pub(crate) const fn most_blobs(self) -> u64 {
        if self.includes(SpecId::OSAKA) {
            6
        } else if self.includes(SpecId::PRAGUE) {
            eip4844::MAX_BLOB_NUMBER_PER_BLOCK_PRAGUE
        } else {
            eip4844::MAX_BLOB_NUMBER_PER_BLOCK_CANCUN
        }
    }

    /// Whether a precompiled contract lives at this address.
    pub(crate) fn is_precompile(self, address: &Address) -> bool {
        const P256_VERIFY: u16 = 0x100;
        let (high, low) = address.as_slice().split_at(18);
        if high.iter().any(|byte| *byte != 0) {
            return false;
        }
        let number = low.iter().fold(0_u16, |number, byte| number << 8 | u16::from(*byte));
        let last = if self.includes(SpecId::PRAGUE) {
            0x11
        } else if self.includes(SpecId::CANCUN) {
            0x0a
        } else {
            0x09
        };
        (1..=last).contains(&number) || (number == P256_VERIFY && self.includes(SpecId::OSAKA))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_and_no_other() {
        for name in FORK_NAMES {
            assert!(Fork::named(name).is_ok(), "{name}");
        }
        for name in ["", "CANCUN", "cancun", "Paris", "Amsterdam", "Frontier", "Latest", "Osaka "] {
            assert!(Fork::named(name).is_err(), "{name}");
        }
    }

    #[test]
    fn precompiles_are_those_revm_has() {
        use revm::handler::EthPrecompiles;
        for (name, spec) in FORK_NAMES.iter().zip(SPECS) {
            let fork = Fork::named(name).unwrap();
            let theirs = EthPrecompiles::new(spec);
            for number in 0..0x300_u64 {
                let address = Address::left_padding_from(&number.to_be_bytes());
                assert_eq!(fork.is_precompile(&address), theirs.contains(&address), "{name} {address}");
            }
        }
    }
}
