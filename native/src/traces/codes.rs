//! Contract codes by the text in which they come: the same few come with trace after trace, and are most of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use revm::primitives::map::AddressMap;
use revm::primitives::{Address, B256, keccak256};

use super::json::Cursor;
use super::{Usual, hex};

/// Texts shorter than this are not worth remembering.
const LEAST: usize = 512;
/// All texts that are remembered, in bytes. One is 48 kB at most (EIP-170).
const MOST: usize = 32 << 20;
/// Accounts whose code is remembered.
const ACCOUNTS: usize = 1 << 13;
/// How much of its end names a text: a compiler's hash of the source stands there.
const END: usize = 80;

/// A code that is not empty.
#[derive(Debug)]
pub struct Code {
    hash: B256,
    text: Box<[u8]>,
}

impl Code {
    fn of(text: &[u8]) -> Usual<Self> {
        Ok(Self { hash: keccak256(hex::data(text)?), text: text.into() })
    }

    /// The keccak of its bytes.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// Its bytes, decoded from the text anew.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        // The text was decoded before.
        hex::data(&self.text).unwrap_or_default()
    }

    /// Whether it is among those that are remembered and shared.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.text.len() >= LEAST
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    length: usize,
    end: Vec<u8>,
}

impl Name {
    fn of(text: &[u8]) -> Self {
        Self { length: text.len(), end: text.last_chunk::<END>().map_or_else(Vec::new, |end| end.to_vec()) }
    }
}

/// The codes seen lately. A text is compared with the one its account had last; failing that it is found by its length and
/// end, and compared; only a new one is decoded and hashed. Its memory is bounded.
#[derive(Debug, Default)]
pub struct KnownCodes {
    codes: HashMap<Name, Arc<Code>>,
    /// The oldest first.
    order: VecDeque<Name>,
    size: usize,
    last: AddressMap<Weak<Code>>,
}

impl KnownCodes {
    /// Reads the code of an account; none where it is empty.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>, account: Address) -> Usual<Option<Arc<Code>>> {
        if let Some(code) = self.last.get(&account).and_then(Weak::upgrade)
            && cursor.found_text(&code.text)
        {
            return Ok(Some(code));
        }
        let text = cursor.unchecked_text()?;
        if matches!(text, b"" | b"0x") {
            return Ok(None);
        }
        if text.len() < LEAST {
            return Ok(Some(Arc::new(Code::of(text)?)));
        }
        let code = self.shared(text)?;
        if self.last.len() >= ACCOUNTS {
            self.last.clear();
        }
        self.last.insert(account, Arc::downgrade(&code));
        Ok(Some(code))
    }

    fn shared(&mut self, text: &[u8]) -> Usual<Arc<Code>> {
        let name = Name::of(text);
        if let Some(known) = self.codes.get(&name)
            && *known.text == *text
        {
            return Ok(Arc::clone(known));
        }
        let code = Arc::new(Code::of(text)?);
        self.size += text.len();
        if self.codes.insert(name.clone(), Arc::clone(&code)).is_some() {
            // Of the same length, and in its place in the order.
            self.size -= text.len();
        } else {
            self.order.push_back(name);
        }
        while self.size > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.codes.remove(&oldest);
            self.size -= oldest.length;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Unusual;
    use super::*;

    fn text(byte: u8, bytes: usize) -> Vec<u8> {
        format!("\"0x{}\"", format!("{byte:02x}").repeat(bytes)).into_bytes()
    }

    fn read(known: &mut KnownCodes, account: u8, body: &[u8]) -> Usual<Option<Arc<Code>>> {
        let mut cursor = Cursor::new(body);
        let code = known.read(&mut cursor, Address::repeat_byte(account))?;
        cursor.finish().map(|()| code)
    }

    #[test]
    fn the_same_text_is_the_same_code_wherever_it_is() {
        let mut known = KnownCodes::default();
        let first = read(&mut known, 1, &text(7, 600)).unwrap().unwrap();
        for account in [1, 2, 2] {
            assert!(Arc::ptr_eq(&first, &read(&mut known, account, &text(7, 600)).unwrap().unwrap()));
        }
        assert_eq!((first.hash(), first.bytes()), (keccak256([7; 600]), vec![7; 600]));
    }

    #[test]
    fn an_account_may_have_another_code_later_even_one_that_goes_on() {
        let mut known = KnownCodes::default();
        read(&mut known, 1, &text(7, 600)).unwrap();
        assert_eq!(read(&mut known, 1, &text(7, 601)).unwrap().unwrap().bytes(), vec![7; 601]);
        assert_eq!(read(&mut known, 1, &text(7, 2)).unwrap().unwrap().bytes(), vec![7; 2]);
        assert!(read(&mut known, 1, b"\"0x\"").unwrap().is_none() && read(&mut known, 1, b"\"\"").unwrap().is_none());
    }

    #[test]
    fn texts_that_share_length_and_end_are_told_apart() {
        let mut known = KnownCodes::default();
        let ends: Vec<_> = [1, 2, 1]
            .map(|first| {
                let body = format!("\"0x{first:02x}{}\"", "55".repeat(600));
                read(&mut known, 1, body.as_bytes()).unwrap().unwrap().bytes()[0]
            })
            .into();
        assert_eq!((ends, known.order.len(), known.codes.len()), (vec![1, 2, 1], 1, 1));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut known = KnownCodes::default();
        let long = 24_576;
        for number in 0..1_000_u32 {
            let body = format!("\"0x{number:08x}{}{number:08x}\"", "5b".repeat(long - 8));
            read(&mut known, number as u8, body.as_bytes()).unwrap();
        }
        assert!(known.size <= MOST && known.codes.len() == known.order.len());
        assert_eq!(known.size, known.codes.len() * (2 * long + 2));
    }

    #[test]
    fn what_is_no_hex_is_unusual() {
        let long = "55".repeat(600);
        for body in ["\"0x123\"", "\"0xzz\"", "\"0x0x12\"", "\"12\"", "\"0X12\"", "7", "\"0x12", "\"0x\\u0031\""] {
            assert_eq!(read(&mut KnownCodes::default(), 1, body.as_bytes()).err(), Some(Unusual), "{body}");
        }
        for body in [format!("\"0x{long}5\""), format!("\"0x{long}5g\""), format!("\"0x0x{long}\"")] {
            assert_eq!(read(&mut KnownCodes::default(), 1, body.as_bytes()).err(), Some(Unusual), "{body}");
        }
    }
}
