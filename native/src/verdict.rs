//! What one transaction came to.

use revm::primitives::{Address, Bytes, Log, U256};
use revm::state::EvmState;

use crate::refusal::{Refusal, Refused};

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It ran to its end.
    Success,
    /// It undid itself, and said why in the output.
    Reverted,
    /// The EVM stopped it.
    Halted,
    /// The engine does not answer for it.
    Refused,
}

impl Kind {
    /// The name for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Reverted => "reverted",
            Self::Halted => "halted",
            Self::Refused => "refused",
        }
    }
}

/// A slot that the transaction read or wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotChange {
    /// The contract.
    pub address: Address,
    /// The slot's key.
    pub key: U256,
    /// Its value before the transaction.
    pub before: U256,
    /// Its value after the transaction.
    pub after: U256,
}

/// An account whose balance or nonce the transaction changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountChange {
    /// The account.
    pub address: Address,
    /// Wei before.
    pub balance_before: U256,
    /// Wei after.
    pub balance_after: U256,
    /// Nonce before.
    pub nonce_before: u64,
    /// Nonce after.
    pub nonce_after: u64,
}

/// The answer for one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How it ended.
    pub kind: Kind,
    /// Empty for successes and reverts; the EVM's reason, or a refusal's name.
    pub reason: String,
    /// The same for people.
    pub detail: String,
    /// The receipt's figure (after refunds and the calldata floor); 0 where refused.
    pub gas_used: u64,
    /// Wei per gas; 0 where refused.
    pub effective_gas_price: u128,
    /// The logs of a success.
    pub logs: Vec<Log>,
    /// The returned or reverted data; empty for a creation.
    pub output: Bytes,
    /// The contract that a creation made.
    pub created: Option<Address>,
    /// The slots read or written, by address and key. Empty where refused.
    pub slots: Vec<SlotChange>,
    /// The accounts whose balance or nonce changed, by address (fees included). Empty where refused.
    pub accounts: Vec<AccountChange>,
    /// All accounts that were read or written, by address. Empty where refused.
    pub loaded: Vec<Address>,
}

impl Verdict {
    /// No answer, with the reason.
    #[must_use]
    pub fn refused(reason: Refusal, detail: impl Into<String>) -> Self {
        Self {
            kind: Kind::Refused,
            reason: reason.name().to_owned(),
            detail: detail.into(),
            gas_used: 0,
            effective_gas_price: 0,
            logs: Vec::new(),
            output: Bytes::new(),
            created: None,
            slots: Vec::new(),
            accounts: Vec::new(),
            loaded: Vec::new(),
        }
    }
}

impl From<Refused> for Verdict {
    fn from(refused: Refused) -> Self {
        Self::refused(refused.reason, refused.detail)
    }
}

/// The slots a transaction touched, in a fixed order.
pub(crate) fn touched_slots(state: &EvmState) -> Vec<SlotChange> {
    let mut slots: Vec<_> = state
        .iter()
        .flat_map(|(address, account)| {
            account.storage.iter().map(|(key, slot)| SlotChange {
                address: *address,
                key: *key,
                before: slot.original_value,
                after: slot.present_value,
            })
        })
        .collect();
    slots.sort_unstable();
    slots
}

/// The accounts a transaction changed, in a fixed order.
pub(crate) fn changed_accounts(state: &EvmState) -> Vec<AccountChange> {
    let mut accounts: Vec<_> = state
        .iter()
        .filter(|(_, account)| account.is_touched())
        .filter_map(|(address, account)| {
            let before = account.original_info();
            let gone = account.is_selfdestructed();
            let change = AccountChange {
                address: *address,
                balance_before: before.balance,
                balance_after: if gone { U256::ZERO } else { account.info.balance },
                nonce_before: before.nonce,
                nonce_after: if gone { 0 } else { account.info.nonce },
            };
            let changed = change.balance_before != change.balance_after || change.nonce_before != change.nonce_after;
            changed.then_some(change)
        })
        .collect();
    accounts.sort_unstable();
    accounts
}

/// The accounts a transaction read or wrote, in a fixed order.
pub(crate) fn loaded_accounts(state: &EvmState) -> Vec<Address> {
    let mut loaded: Vec<_> = state.keys().copied().collect();
    loaded.sort_unstable();
    loaded
}
