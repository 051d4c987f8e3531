//! Contract codes, analysed once and shared by hash.

use std::sync::{PoisonError, RwLock};

use revm::bytecode::Bytecode;
use revm::primitives::map::B256Map;
use revm::primitives::{B256, Bytes, KECCAK_EMPTY, keccak256};

use crate::error::InputError;

/// Codes by their keccak. Looking for jump targets costs more than most executions, so it is done once per code.
#[derive(Debug, Default)]
pub struct CodeStore {
    codes: RwLock<B256Map<Bytecode>>,
}

impl CodeStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a code known; its hash.
    pub fn add(&self, code: &[u8]) -> B256 {
        let hash = keccak256(code);
        self.insert(hash, code);
        hash
    }

    /// Makes a code known that is said to have this hash. A code of another hash is an error.
    pub fn add_checked(&self, hash: B256, code: &[u8]) -> Result<Bytecode, InputError> {
        if let Some(known) = self.get(&hash)
            && known.original_byte_slice() == code
        {
            return Ok(known);
        }
        let actual = keccak256(code);
        if actual != hash {
            return Err(InputError::witness(format!(
                "a code of {} bytes hashes to {actual}, not to {hash}",
                code.len()
            )));
        }
        Ok(self.insert(hash, code))
    }

    /// Makes a code known under a hash that the caller has computed himself.
    pub fn add_known(&self, hash: B256, code: &[u8]) {
        self.insert(hash, code);
    }

    /// The code with this hash.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<Bytecode> {
        if *hash == KECCAK_EMPTY {
            return Some(Bytecode::default());
        }
        self.codes.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    /// How many codes are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether no code is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all codes. Witnesses that hold one keep it.
    pub fn clear(&self) {
        self.codes.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn insert(&self, hash: B256, code: &[u8]) -> Bytecode {
        let analysed = analyse(code);
        if hash != KECCAK_EMPTY {
            self.codes.write().unwrap_or_else(PoisonError::into_inner).insert(hash, analysed.clone());
        }
        analysed
    }
}

/// A code as the interpreter runs it. What looks like a delegation (EIP-7702) but is none is code like any other.
fn analyse(code: &[u8]) -> Bytecode {
    let bytes = Bytes::copy_from_slice(code);
    Bytecode::new_raw_checked(bytes.clone()).unwrap_or_else(|_| Bytecode::new_legacy(bytes))
}
