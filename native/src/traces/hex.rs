//! Hex as JSON-RPC writes it. Every byte of a text that is taken was looked at.

use revm::primitives::{Address, B256, hex};

use super::json::Cursor;
use super::{Unusual, Usual};

const WORD_DIGITS: usize = 64;
const LONG_DIGITS: usize = 16;
/// The records' integers are signed 64-bit words.
const LONG_LIMIT: u64 = 1 << 63;

/// The digits behind `0x`.
fn digits(text: &[u8]) -> Usual<&[u8]> {
    match text.strip_prefix(b"0x") {
        // The decoder would pass over a second prefix.
        Some(digits) if digits.get(1) != Some(&b'x') => Ok(digits),
        _ => Err(Unusual),
    }
}

/// Bytes of any length.
pub(super) fn data(text: &[u8]) -> Usual<Vec<u8>> {
    hex::decode(digits(text)?).map_err(|_| Unusual)
}

/// Puts bytes of any length behind others.
pub(super) fn append(text: &[u8], out: &mut Vec<u8>) -> Usual<()> {
    let (digits, start) = (digits(text)?, out.len());
    if digits.len() % 2 != 0 {
        return Err(Unusual);
    }
    out.resize(start + digits.len() / 2, 0);
    hex::decode_to_slice(digits, out.get_mut(start..).ok_or(Unusual)?).map_err(|_| Unusual)
}

/// Exactly so many bytes.
fn array<const N: usize>(text: &[u8]) -> Usual<[u8; N]> {
    hex::decode_to_array(digits(text)?).map_err(|_| Unusual)
}

pub(super) fn address(text: &[u8]) -> Usual<Address> {
    array(text).map(Address::new)
}

/// A word in full width.
pub(super) fn hash(text: &[u8]) -> Usual<B256> {
    array(text).map(B256::new)
}

/// A word; some nodes strip its leading zeros, all of them where it is zero.
pub(super) fn word(text: &[u8]) -> Usual<B256> {
    if text.len() == WORD_DIGITS + 2 { hash(text) } else { padded(digits(text)?) }
}

/// An amount below 2^256 with at least one digit, big-endian.
pub(super) fn quantity(text: &[u8]) -> Usual<B256> {
    let digits = digits(text)?;
    if digits.is_empty() { Err(Unusual) } else { padded(digits) }
}

fn padded(digits: &[u8]) -> Usual<B256> {
    let mut full = [b'0'; WORD_DIGITS];
    let start = WORD_DIGITS.checked_sub(digits.len()).ok_or(Unusual)?;
    full.get_mut(start..).ok_or(Unusual)?.copy_from_slice(digits);
    if full.get(1) == Some(&b'x') {
        return Err(Unusual);
    }
    hex::decode_to_array(full).map(B256::new).map_err(|_| Unusual)
}

/// A number below 2^63 with at least one digit.
pub(super) fn long(text: &[u8]) -> Usual<u64> {
    let digits = digits(text)?;
    if digits.is_empty() || digits.len() > LONG_DIGITS {
        return Err(Unusual);
    }
    let number = digits.iter().try_fold(0, |number: u64, digit| {
        char::from(*digit).to_digit(16).map(|digit| number << 4 | u64::from(digit)).ok_or(Unusual)
    })?;
    below_limit(number)
}

/// A nonce: hex, or a number as geth's tracer writes it, and below 2^63.
pub(super) fn nonce(cursor: &mut Cursor<'_>) -> Usual<u64> {
    if cursor.is_text() { long(cursor.unchecked_text()?) } else { below_limit(cursor.number()?) }
}

fn below_limit(number: u64) -> Usual<u64> {
    if number < LONG_LIMIT { Ok(number) } else { Err(Unusual) }
}
