//! Reading bytes that may be anything: every read is bounded, every count is held against what is left.

use revm::primitives::{Address, B256, U256};

use crate::error::InputError;

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, length: bytes.len() }
    }

    pub(crate) fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], InputError> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(InputError::witness(format!(
                "truncated at byte {}: {what} needs {count} bytes, {} are left",
                self.length - self.rest.len(),
                self.rest.len()
            ))),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], InputError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(crate) fn byte(&mut self, what: &str) -> Result<u8, InputError> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn long(&mut self, what: &str) -> Result<u64, InputError> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn word(&mut self, what: &str) -> Result<U256, InputError> {
        Ok(U256::from_be_bytes(self.array::<32>(what)?))
    }

    pub(crate) fn hash(&mut self, what: &str) -> Result<B256, InputError> {
        Ok(B256::new(self.array(what)?))
    }

    pub(crate) fn address(&mut self, what: &str) -> Result<Address, InputError> {
        Ok(Address::new(self.array(what)?))
    }

    /// A count of items of at least `least` bytes each. Never larger than what is left can hold, so that it may be
    /// used to reserve memory.
    pub(crate) fn count(&mut self, least: usize, what: &str) -> Result<usize, InputError> {
        let at = self.length - self.rest.len();
        let count = u32::from_be_bytes(self.array(what)?) as usize;
        if count > self.rest.len() / least {
            return Err(InputError::witness(format!(
                "absurd count at byte {at}: {count} {what} do not fit into the {} bytes that are left",
                self.rest.len()
            )));
        }
        Ok(count)
    }

    pub(crate) fn finish(&self) -> Result<(), InputError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(InputError::witness(format!("{} bytes follow after the end", self.rest.len())))
    }
}
