//! State that was given: accounts, slots and codes, in layers, with a packed form.
//!
//! Packed form, version 1; integers are big-endian:
//!
//! ```text
//! "SLWT" | version u8 | codes u32 | code… | accounts u32 | account…
//! code    = keccak 32 | length u32 | bytes                                   ascending by keccak
//! account = address 20 | flags u8                                            ascending by address
//!           and unless absent: nonce u64 | balance 32 | code hash 32 | slots u32 | (key 32 | value 32)…   ascending by key
//! flags   = 1: known not to exist (nothing follows) · 2: every slot that is not listed holds zero
//! ```
//!
//! A state has exactly one packed form: everything is ordered, nothing may follow the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use revm::bytecode::Bytecode;
use revm::primitives::{Address, B256, KECCAK_EMPTY, U256};
use revm::state::AccountInfo;

use crate::codes::CodeStore;
use crate::error::InputError;
use crate::reader::Reader;

const MAGIC: &[u8; 4] = b"SLWT";
const VERSION: u8 = 1;
const ABSENT: u8 = 1;
const COMPLETE: u8 = 2;
const LEAST_CODE: usize = 36;
const LEAST_ACCOUNT: usize = 21;
const SLOT: usize = 64;

/// What is known of one account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Nonce, balance, code hash, and the code where it is known.
    pub info: AccountInfo,
    /// Whether a slot that is not listed holds zero (otherwise it is unknown).
    pub complete: bool,
    first_slot: usize,
    slots: usize,
}

/// Accounts and slots that came together. Searched by bisection: nothing is hashed, and loading is one pass.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    accounts: Vec<(Address, Account)>,
    slots: Vec<(U256, U256)>,
}

impl Layer {
    /// The account at an address, if this layer knows it.
    #[must_use]
    pub fn account(&self, address: &Address) -> Option<&Account> {
        let at = self.accounts.binary_search_by(|(other, _)| other.cmp(address)).ok()?;
        self.accounts.get(at).map(|(_, account)| account)
    }

    /// The slots this layer lists of one of its accounts, ascending by key.
    #[must_use]
    pub fn slots(&self, account: &Account) -> &[(U256, U256)] {
        self.slots.get(account.first_slot..account.first_slot + account.slots).unwrap_or_default()
    }

    /// All accounts, ascending by address.
    #[must_use]
    pub fn accounts(&self) -> &[(Address, Account)] {
        &self.accounts
    }

    fn slot(&self, account: &Account, key: &U256) -> Option<U256> {
        let slots = self.slots(account);
        let at = slots.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        slots.get(at).map(|(_, value)| *value)
    }

    /// Reads the packed form. The codes in it go into the store; accounts may name codes the store knows already.
    pub fn parse(bytes: &[u8], codes: &CodeStore) -> Result<Self, InputError> {
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len(), "the magic")? != MAGIC {
            return Err(InputError::witness("this is no packed witness (the magic is wrong)"));
        }
        let version = reader.byte("the version")?;
        if version != VERSION {
            return Err(InputError::witness(format!(
                "packed witness of version {version}, this engine reads {VERSION}"
            )));
        }
        let carried = read_codes(&mut reader, codes)?;
        let count = reader.count(LEAST_ACCOUNT, "accounts")?;
        let mut layer = Self { accounts: Vec::with_capacity(count), slots: Vec::new() };
        for _ in 0..count {
            let (address, account) = read_account(&mut reader, &mut layer.slots, &carried, codes)?;
            if layer.accounts.last().is_some_and(|(before, _)| *before >= address) {
                return Err(InputError::witness(format!("account {address} is out of order or given twice")));
            }
            layer.accounts.push((address, account));
        }
        reader.finish()?;
        Ok(layer)
    }

    /// The packed form, with the codes of its accounts as far as they are known (or without any).
    #[must_use]
    pub fn pack(&self, with_codes: bool) -> Vec<u8> {
        let mut codes = BTreeMap::new();
        if with_codes {
            for (_, account) in &self.accounts {
                if let Some(code) = account.info.code.as_ref().filter(|_| account.info.code_hash != KECCAK_EMPTY) {
                    codes.insert(account.info.code_hash, code);
                }
            }
        }
        let mut bytes = Vec::with_capacity(16 + self.accounts.len() * 97 + self.slots.len() * SLOT);
        put_head(&mut bytes);
        put_count(&mut bytes, codes.len());
        for (hash, code) in codes {
            let code = code.original_byte_slice();
            bytes.extend_from_slice(hash.as_slice());
            put_count(&mut bytes, code.len());
            bytes.extend_from_slice(code);
        }
        put_count(&mut bytes, self.accounts.len());
        for (address, account) in &self.accounts {
            self.pack_account(&mut bytes, address, account);
        }
        bytes
    }

    fn pack_account(&self, bytes: &mut Vec<u8>, address: &Address, account: &Account) {
        bytes.extend_from_slice(address.as_slice());
        let slots = self.slots(account);
        if account.complete && slots.is_empty() && account.info.is_empty() {
            bytes.push(ABSENT);
            return;
        }
        bytes.push(if account.complete { COMPLETE } else { 0 });
        bytes.extend_from_slice(&account.info.nonce.to_be_bytes());
        bytes.extend_from_slice(&account.info.balance.to_be_bytes::<32>());
        bytes.extend_from_slice(account.info.code_hash.as_slice());
        put_count(bytes, slots.len());
        for (key, value) in slots {
            bytes.extend_from_slice(&key.to_be_bytes::<32>());
            bytes.extend_from_slice(&value.to_be_bytes::<32>());
        }
    }
}

pub(crate) fn put_head(bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
}

pub(crate) fn put_count(bytes: &mut Vec<u8>, count: usize) {
    // No vector of 64-byte items in memory comes near 2^32 of them.
    bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

fn read_codes(reader: &mut Reader<'_>, codes: &CodeStore) -> Result<BTreeMap<B256, Bytecode>, InputError> {
    let mut carried = BTreeMap::new();
    for _ in 0..reader.count(LEAST_CODE, "codes")? {
        let hash = reader.hash("a code's hash")?;
        let length = reader.count(1, "bytes of code")?;
        let code = reader.take(length, "a code")?;
        if carried.last_key_value().is_some_and(|(before, _)| *before >= hash) {
            return Err(InputError::witness(format!("code {hash} is out of order or given twice")));
        }
        carried.insert(hash, codes.add_checked(hash, code)?);
    }
    Ok(carried)
}

fn read_account(
    reader: &mut Reader<'_>,
    slots: &mut Vec<(U256, U256)>,
    carried: &BTreeMap<B256, Bytecode>,
    codes: &CodeStore,
) -> Result<(Address, Account), InputError> {
    let address = reader.address("an address")?;
    let first_slot = slots.len();
    let flags = reader.byte("an account's flags")?;
    let complete = match flags {
        ABSENT => return Ok((address, Account { info: AccountInfo::default(), complete: true, first_slot, slots: 0 })),
        0 | COMPLETE => flags == COMPLETE,
        _ => return Err(InputError::witness(format!("account {address} has unknown flags {flags:#04x}"))),
    };
    let nonce = reader.long("a nonce")?;
    let balance = reader.word("a balance")?;
    let code_hash = reader.hash("a code hash")?;
    let code = carried.get(&code_hash).cloned().or_else(|| codes.get(&code_hash));
    let count = reader.count(SLOT, "slots")?;
    slots.reserve(count);
    for at in 0..count {
        let key = reader.word("a slot's key")?;
        let value = reader.word("a slot's value")?;
        if at > 0 && slots.last().is_some_and(|(before, _)| *before >= key) {
            return Err(InputError::witness(format!("slot {key:#066x} of {address} is out of order or given twice")));
        }
        slots.push((key, value));
    }
    let info = AccountInfo { balance, nonce, code_hash, code, ..Default::default() };
    if complete && count == 0 && info.is_empty() {
        return Err(InputError::witness(format!("account {address} is absent, but not packed as such")));
    }
    Ok((address, Account { info, complete, first_slot, slots: count }))
}

/// Makes a layer of accounts in any order.
#[derive(Debug, Default)]
pub struct LayerBuilder {
    layer: Layer,
}

impl LayerBuilder {
    /// Room for so many accounts.
    #[must_use]
    pub fn with_capacity(accounts: usize) -> Self {
        Self { layer: Layer { accounts: Vec::with_capacity(accounts), slots: Vec::new() } }
    }

    /// Adds an account with its slots, in any order. An address or a key given twice is an error (see `finish`).
    pub fn add(
        &mut self,
        address: Address,
        info: AccountInfo,
        complete: bool,
        slots: impl IntoIterator<Item = (U256, U256)>,
    ) -> Result<(), InputError> {
        let all = &mut self.layer.slots;
        let first_slot = all.len();
        all.extend(slots);
        let own = all.get_mut(first_slot..).unwrap_or_default();
        own.sort_unstable_by_key(|(key, _)| *key);
        if let Some(twice) = first_repeated(own) {
            return Err(InputError::witness(format!("slot {twice:#066x} of {address} is given twice")));
        }
        let slots = own.len();
        self.layer.accounts.push((address, Account { info, complete, first_slot, slots }));
        Ok(())
    }

    /// The layer.
    pub fn finish(mut self) -> Result<Layer, InputError> {
        self.layer.accounts.sort_unstable_by_key(|(address, _)| *address);
        match first_repeated(&self.layer.accounts) {
            Some(twice) => Err(InputError::witness(format!("account {twice} is given twice"))),
            None => Ok(self.layer),
        }
    }
}

fn first_repeated<K: PartialEq + Copy, V>(sorted: &[(K, V)]) -> Option<K> {
    sorted.iter().zip(sorted.iter().skip(1)).find(|(one, other)| one.0 == other.0).map(|(one, _)| one.0)
}

/// What a witness says of a slot.
pub(crate) enum Known {
    Value(U256),
    Unknown,
}

/// Layers of state, the newest first. Cheap to copy and to share between threads.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    layers: Vec<Arc<Layer>>,
}

impl Witness {
    /// A witness of one layer.
    #[must_use]
    pub fn new(layer: Layer) -> Self {
        Self { layers: vec![Arc::new(layer)] }
    }

    /// Reads the packed form; see the module's description.
    pub fn parse(bytes: &[u8], codes: &CodeStore) -> Result<Self, InputError> {
        Layer::parse(bytes, codes).map(Self::new)
    }

    /// A witness with another on top of this one; neither is changed and nothing is copied.
    #[must_use]
    pub fn layered(&self, over: &Self) -> Self {
        Self { layers: over.layers.iter().chain(&self.layers).cloned().collect() }
    }

    /// The layers, the newest first.
    #[must_use]
    pub fn layers(&self) -> &[Arc<Layer>] {
        &self.layers
    }

    /// The newest account at an address.
    #[must_use]
    pub fn account(&self, address: &Address) -> Option<&Account> {
        self.layers.iter().find_map(|layer| layer.account(address))
    }

    /// The value of a slot: listed, or zero by completeness; `None` where it is unknown.
    #[must_use]
    pub fn slot(&self, address: &Address, key: &U256) -> Option<U256> {
        match self.find_slot(address, key) {
            Known::Value(value) => Some(value),
            Known::Unknown => None,
        }
    }

    pub(crate) fn find_slot(&self, address: &Address, key: &U256) -> Known {
        for layer in &self.layers {
            let Some(account) = layer.account(address) else { continue };
            if let Some(value) = layer.slot(account, key) {
                return Known::Value(value);
            }
            if account.complete {
                return Known::Value(U256::ZERO);
            }
        }
        Known::Unknown
    }

    /// Whether a slot of the account is known not to be zero.
    pub(crate) fn has_storage(&self, address: &Address) -> bool {
        for layer in &self.layers {
            let Some(account) = layer.account(address) else { continue };
            if layer.slots(account).iter().any(|(_, value)| !value.is_zero()) {
                return true;
            }
            if account.complete {
                return false;
            }
        }
        false
    }

    /// All layers as one.
    #[must_use]
    pub fn flattened(&self) -> Layer {
        if let [only] = self.layers.as_slice() {
            return (**only).clone();
        }
        let mut merged: BTreeMap<Address, (AccountInfo, bool, BTreeMap<U256, U256>)> = BTreeMap::new();
        for layer in self.layers.iter().rev() {
            for (address, account) in &layer.accounts {
                let slots = layer.slots(account).iter().copied();
                match merged.get_mut(address).filter(|_| !account.complete) {
                    Some((info, _, below)) => {
                        *info = account.info.clone();
                        below.extend(slots);
                    }
                    None => {
                        merged.insert(*address, (account.info.clone(), account.complete, slots.collect()));
                    }
                }
            }
        }
        let mut flat = Layer::default();
        for (address, (info, complete, slots)) in merged {
            let first_slot = flat.slots.len();
            flat.slots.extend(slots);
            let slots = flat.slots.len() - first_slot;
            flat.accounts.push((address, Account { info, complete, first_slot, slots }));
        }
        flat
    }
}
