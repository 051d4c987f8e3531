//! The state behind an execution: the witness, and over it what earlier transactions of the same call changed.

use std::fmt;

use revm::Database;
use revm::bytecode::Bytecode;
use revm::context::DBErrorMarker;
use revm::primitives::map::{AddressMap, U256Map};
use revm::primitives::{Address, B256, U256};
use revm::state::{Account as Touched, AccountInfo, EvmState};

use crate::block::Block;
use crate::error::InputError;
use crate::refusal::Refusal;
use crate::witness::{Known, Layer, LayerBuilder, Witness};

/// What an account outside the witness is taken for. Slots outside it are always refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownAccounts {
    /// Unknown: whatever reads it is refused.
    #[default]
    Refuse,
    /// Not existing: for witnesses traced from the transaction itself, which leave such accounts out.
    Absent,
}

/// The item that was read and not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Account(Address),
    Slot(Address, U256),
    Code(B256),
    BlockHash(u64),
}

impl Missing {
    pub(crate) const fn refusal(&self) -> Refusal {
        match self {
            Self::Account(_) => Refusal::MissingAccount,
            Self::Slot(..) => Refusal::MissingSlot,
            Self::Code(_) => Refusal::MissingCode,
            Self::BlockHash(_) => Refusal::MissingBlockHash,
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(address) => write!(formatter, "account {address:#x} is not in the witness"),
            Self::Slot(address, key) => {
                write!(formatter, "slot {key:#066x} of account {address:#x} is not in the witness")
            }
            Self::Code(hash) => write!(formatter, "the code {hash:#x} is not in the witness"),
            Self::BlockHash(number) => write!(formatter, "the hash of block {number} was not given"),
        }
    }
}

impl std::error::Error for Missing {}
impl DBErrorMarker for Missing {}

#[derive(Debug, Default)]
struct Changed {
    info: AccountInfo,
    complete: bool,
    slots: U256Map<U256>,
}

/// What transactions changed so far.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    accounts: AddressMap<Changed>,
}

impl Changes {
    fn commit_account(&mut self, address: Address, touched: Touched, complete: bool) {
        let gone = touched.is_selfdestructed() || (touched.is_empty() && !touched.is_created());
        if gone {
            self.accounts.insert(address, Changed { complete: true, ..Changed::default() });
            return;
        }
        let created = touched.is_created();
        let changed = self.accounts.entry(address).or_insert_with(|| Changed { complete, ..Changed::default() });
        if created {
            *changed = Changed { complete: true, ..Changed::default() };
        }
        changed.info = touched.info;
        changed.slots.extend(
            touched
                .storage
                .into_iter()
                .filter(|(_, slot)| slot.is_changed())
                .map(|(key, slot)| (key, slot.present_value)),
        );
    }

    /// The changes as a layer to put over the witness.
    pub(crate) fn into_layer(self) -> Result<Layer, InputError> {
        let mut builder = LayerBuilder::with_capacity(self.accounts.len());
        for (address, changed) in self.accounts {
            builder.add(address, changed.info, changed.complete, changed.slots)?;
        }
        builder.finish()
    }
}

/// The database of one execution. It answers what is known; all else is an error, which ends the whole transaction.
pub(crate) struct StateDb<'a> {
    witness: &'a Witness,
    block: &'a Block,
    unknown: UnknownAccounts,
    changes: Changes,
}

impl<'a> StateDb<'a> {
    pub(crate) fn new(witness: &'a Witness, block: &'a Block, unknown: UnknownAccounts) -> Self {
        Self { witness, block, unknown, changes: Changes::default() }
    }

    /// Takes over the state one transaction left (of one transaction: so that a slot's original value is its real one).
    pub(crate) fn commit(&mut self, state: EvmState) {
        for (address, touched) in state {
            // What nobody knew and is touched all the same is a precompile that was called: nothing about it changed.
            if touched.is_touched() && self.knows(&address) {
                // A known account outside the witness did not exist: it has no slots but those it gets now.
                let complete = self.witness.account(&address).is_none();
                self.changes.commit_account(address, touched, complete);
            }
        }
    }

    pub(crate) fn into_changes(self) -> Changes {
        self.changes
    }

    /// Whether a slot of the account is known not to be zero.
    pub(crate) fn has_storage(&self, address: &Address) -> bool {
        match self.changes.accounts.get(address) {
            Some(changed) if changed.slots.values().any(|value| !value.is_zero()) => true,
            Some(changed) if changed.complete => false,
            _ => self.witness.has_storage(address),
        }
    }

    /// Whether the account's state is given, or counts as not existing by the caller's word.
    pub(crate) fn knows(&self, address: &Address) -> bool {
        self.unknown == UnknownAccounts::Absent
            || self.changes.accounts.contains_key(address)
            || self.witness.account(address).is_some()
    }
}

impl Database for StateDb<'_> {
    type Error = Missing;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Missing> {
        if let Some(changed) = self.changes.accounts.get(&address) {
            return Ok(Some(changed.info.clone()));
        }
        if let Some(account) = self.witness.account(&address) {
            return Ok(Some(account.info.clone()));
        }
        // The interpreter asks for a precompile's account at every call of it. See `verdict` for value sent to one.
        if self.unknown == UnknownAccounts::Absent || self.block.fork.is_precompile(&address) {
            return Ok(None);
        }
        Err(Missing::Account(address))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, Missing> {
        // Codes come with their accounts; whoever asks has an account without.
        Err(Missing::Code(code_hash))
    }

    fn storage(&mut self, address: Address, key: U256) -> Result<U256, Missing> {
        if let Some(changed) = self.changes.accounts.get(&address) {
            if let Some(value) = changed.slots.get(&key) {
                return Ok(*value);
            }
            if changed.complete {
                return Ok(U256::ZERO);
            }
        }
        match self.witness.find_slot(&address, &key) {
            Known::Value(value) => Ok(value),
            // An account that counts as not existing has no slots; one that only got money keeps having none.
            Known::Unknown if self.unknown == UnknownAccounts::Absent && self.witness.account(&address).is_none() => {
                Ok(U256::ZERO)
            }
            Known::Unknown => Err(Missing::Slot(address, key)),
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Missing> {
        self.block.block_hashes.get(&number).copied().ok_or(Missing::BlockHash(number))
    }
}
