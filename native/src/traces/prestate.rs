//! What one execution read: accounts, whole.

use std::sync::Arc;

use revm::primitives::{Address, B256, KECCAK_EMPTY};

use super::codes::{Code, KnownCodes};
use super::json::Cursor;
use super::{Unusual, Usual, hex, once};
use crate::witness;

const SLOT: usize = 64;
const ACCOUNT: usize = 97;

/// An account that an execution touched. What the answer left out is zero.
#[derive(Debug)]
pub struct TouchedAccount {
    /// Its address.
    pub address: Address,
    /// Its nonce, below 2^63.
    pub nonce: u64,
    /// Its balance in wei, big-endian.
    pub balance: B256,
    /// Its code; none where it is empty.
    pub code: Option<Arc<Code>>,
    /// The slots that were touched, ascending by key.
    pub slots: Vec<(B256, B256)>,
}

/// The accounts one execution touched, ascending by address.
#[derive(Debug)]
pub struct Prestate {
    accounts: Vec<TouchedAccount>,
}

impl Prestate {
    pub(super) fn read(cursor: &mut Cursor<'_>, codes: &mut KnownCodes) -> Usual<Self> {
        let mut accounts = Vec::new();
        cursor.object(|cursor, key| {
            accounts.push(read_account(cursor, hex::address(key)?, codes)?);
            Ok(())
        })?;
        accounts.sort_unstable_by_key(|account| account.address);
        if accounts.is_sorted_by(|a, b| a.address < b.address) { Ok(Self { accounts }) } else { Err(Unusual) }
    }

    /// All accounts, ascending by address.
    #[must_use]
    pub fn accounts(&self) -> &[TouchedAccount] {
        &self.accounts
    }

    /// As a packed witness without codes, in which the sender, if it is there, has this nonce.
    #[must_use]
    pub fn pack(&self, sender: &Address, nonce: u64) -> Vec<u8> {
        let slots: usize = self.accounts.iter().map(|account| account.slots.len()).sum();
        let mut bytes = Vec::with_capacity(16 + self.accounts.len() * ACCOUNT + slots * SLOT);
        witness::put_head(&mut bytes);
        witness::put_count(&mut bytes, 0);
        witness::put_count(&mut bytes, self.accounts.len());
        for account in &self.accounts {
            let nonce = if account.address == *sender { nonce } else { account.nonce };
            bytes.extend_from_slice(account.address.as_slice());
            bytes.push(0);
            bytes.extend_from_slice(&nonce.to_be_bytes());
            bytes.extend_from_slice(account.balance.as_slice());
            bytes.extend_from_slice(account.code.as_ref().map_or(KECCAK_EMPTY, |code| code.hash()).as_slice());
            witness::put_count(&mut bytes, account.slots.len());
            for (key, value) in &account.slots {
                bytes.extend_from_slice(key.as_slice());
                bytes.extend_from_slice(value.as_slice());
            }
        }
        bytes
    }
}

fn read_account(cursor: &mut Cursor<'_>, address: Address, codes: &mut KnownCodes) -> Usual<TouchedAccount> {
    let (mut nonce, mut balance, mut code, mut slots) = (None, None, None, None);
    cursor.object(|cursor, key| {
        if cursor.found_null() {
            return match key {
                b"nonce" => once(&mut nonce, 0),
                b"balance" => once(&mut balance, B256::ZERO),
                b"code" => once(&mut code, None),
                b"storage" => once(&mut slots, Vec::new()),
                _ => Ok(()),
            };
        }
        match key {
            b"nonce" => once(&mut nonce, hex::nonce(cursor)?),
            b"balance" => once(&mut balance, hex::quantity(cursor.unchecked_text()?)?),
            b"code" => once(&mut code, codes.read(cursor, address)?),
            b"storage" => once(&mut slots, read_slots(cursor)?),
            _ => cursor.skip(),
        }
    })?;
    Ok(TouchedAccount {
        address,
        nonce: nonce.unwrap_or_default(),
        balance: balance.unwrap_or_default(),
        code: code.flatten(),
        slots: slots.unwrap_or_default(),
    })
}

/// Storage, ascending by key; no key comes twice.
pub(super) fn read_slots(cursor: &mut Cursor<'_>) -> Usual<Vec<(B256, B256)>> {
    let mut slots = Vec::new();
    cursor.object(|cursor, key| {
        slots.push((hex::word(key)?, hex::word(cursor.unchecked_text()?)?));
        Ok(())
    })?;
    slots.sort_unstable();
    if slots.is_sorted_by(|(a, _), (b, _)| a < b) { Ok(slots) } else { Err(Unusual) }
}

#[cfg(test)]
mod tests {
    use super::super::{prestate, prestates};
    use super::*;
    use crate::{CodeStore, Layer};

    fn account(number: u8, fields: &str) -> String {
        format!("\"{}\":{{{fields}}}", Address::repeat_byte(number))
    }

    fn body(accounts: &[String]) -> String {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{{{}}}}}", accounts.join(","))
    }

    fn read(accounts: &[String]) -> Usual<Prestate> {
        prestate(body(accounts).as_bytes(), &mut KnownCodes::default())
    }

    #[test]
    fn accounts_are_whole_in_order_and_packed_as_a_witness() {
        let slots = "\"storage\":{\"0x2\":\"0x\",\"0x01\":\"0x7\"}";
        let told = [
            account(
                2,
                &format!("\"balance\":\"0xff\",\"nonce\":5,\"code\":\"0x6001\", {slots}, \"codeHash\":\"0x12\""),
            ),
            account(1, "\"balance\" : null , \"nonce\": \"0x3\", \"code\": \"0x\""),
        ];
        let found = read(&told).unwrap();
        let packed = found.pack(&Address::repeat_byte(1), 9);
        let codes = CodeStore::new();
        let code = codes.add(&[0x60, 1]);
        let layer = Layer::parse(&packed, &codes).unwrap();
        let [(first, one), (second, two)] = layer.accounts() else { panic!("two accounts") };
        assert_eq!((first, second), (&Address::repeat_byte(1), &Address::repeat_byte(2)));
        assert_eq!(
            (one.info.nonce, one.info.code_hash, two.info.nonce, two.info.code_hash),
            (9, KECCAK_EMPTY, 5, code)
        );
        let word = revm::primitives::U256::from;
        assert_eq!(
            (layer.slots(two), two.info.balance),
            ([(word(1), word(7)), (word(2), word(0))].as_slice(), word(255))
        );
        assert_eq!(layer.pack(false), packed);
    }

    #[test]
    fn what_is_told_twice_or_out_of_range_is_unusual() {
        let wide = format!("\"balance\":\"0x1{}\"", "0".repeat(64));
        for fields in [
            "\"nonce\":1,\"nonce\":1",
            "\"nonce\":null,\"nonce\":1",
            "\"nonce\":-1",
            "\"nonce\":1.0",
            "\"nonce\":01",
            "\"nonce\":1e3",
            "\"nonce\":9223372036854775808",
            "\"nonce\":\"0x8000000000000000\"",
            "\"nonce\":\"7\"",
            "\"nonce\":\"0x\"",
            "\"nonce\":true",
            "\"balance\":7",
            "\"balance\":\"0x_1\"",
            "\"balance\":\"0x0x1\"",
            "\"balance\":\"0xx1\"",
            "\"balance\":\"0x 1\"",
            "\"storage\":{\"0x1\":\"0x1\",\"0x01\":\"0x1\"}",
            "\"storage\":{\"\":\"0x1\"}",
            "\"storage\":[]",
            "\"code\":\"0x1\"",
            "\"other\":{}",
            "\"other\":\"a\\u0041\"",
            "\"other\":\"\u{e9}\"",
            "\"other\":\"\t\"",
            "\"nonce\":1,",
            "\"nonce\" 1",
            &wide,
        ] {
            assert_eq!(read(&[account(1, fields)]).err(), Some(Unusual), "{fields}");
        }
        assert_eq!(read(&[account(1, ""), account(1, "")]).err(), Some(Unusual));
        assert_eq!(read(&["\"0x12\":{}".to_owned()]).err(), Some(Unusual));
    }

    #[test]
    fn a_batch_is_in_the_order_of_its_numbers() {
        let one =
            |id: &str, number: u8| format!("{{\"result\":{{{}}},\"error\":null,{id}}}", account(number, "\"nonce\":1"));
        let read = |answers: &[String], count: usize| {
            let body = format!("[{}]", answers.join(" , "));
            let found = prestates(body.as_bytes(), count, &mut KnownCodes::default())?;
            let odd: Vec<_> = found.odd.iter().map(|odd| String::from_utf8(odd.to_vec()).unwrap()).collect();
            let named = |each: &Option<Prestate>| each.as_ref().map(|each| each.accounts()[0].address);
            Ok::<_, Unusual>((found.found.iter().map(named).collect::<Vec<_>>(), odd))
        };
        let (first, second) = (one("\"id\":0", 1), one("\"id\":1", 2));
        let (one_there, two_there) = (Some(Address::repeat_byte(1)), Some(Address::repeat_byte(2)));
        assert_eq!(read(&[second.clone(), first.clone()], 2), Ok((vec![one_there, two_there], vec![])));
        assert_eq!(read(&[], 0), Ok((vec![], vec![])));
        assert_eq!(read(std::slice::from_ref(&second), 2), Ok((vec![None, two_there], vec![])));
        for odd in [
            "{\"id\":1,\"error\":{\"code\":-3,\"message\":\"a \\\"}\\\\\"}}",
            "{\"id\":1,\"result\":null}",
            "{\"id\":1}",
            "{\"id\":1,\"result\":{\"0x12\":[[{}]]}}",
            "{}",
        ] {
            let wanted = (vec![one_there, None], vec![odd.to_owned()]);
            assert_eq!(read(&[first.clone(), odd.to_owned()], 2), Ok(wanted.clone()), "{odd}");
            assert_eq!(read(&[odd.to_owned(), first.clone()], 2), Ok(wanted), "{odd}");
        }
        for (answers, count) in [
            (vec![first.clone(), second.clone()], 1),
            (vec![first.clone(), first.clone()], 2),
            (vec![first.clone(), one("\"id\":2", 2)], 2),
            (vec![first.clone(), one("\"x\":1", 2)], 2),
            (vec![first.clone(), "7".to_owned()], 2),
            (vec![first.clone(), "{\"id\":\"".to_owned()], 2),
            (vec![first, second], usize::MAX),
        ] {
            assert_eq!(read(&answers, count).err(), Some(Unusual), "{answers:?} {count}");
        }
    }

    #[test]
    fn a_body_cut_off_or_changed_anywhere_neither_panics_nor_hangs() {
        let code = format!("\"code\":\"0x{}\"", "5b".repeat(300));
        let told = [
            account(1, &format!("\"nonce\":1,{code},\"storage\":{{\"0x1\":\"0x2\"}}")),
            account(2, "\"balance\":\"0x1\""),
        ];
        let whole = body(&told).into_bytes();
        let mut codes = KnownCodes::default();
        assert!(prestate(&whole, &mut codes).is_ok());
        for at in 0..whole.len() {
            assert!(prestate(&whole[..at], &mut codes).is_err());
            for byte in [b'"', b'{', b'}', b'\\', b'0', b' ', 0, 0xff] {
                let mut bent = whole.clone();
                bent[at] = byte;
                let _ = prestate(&bent, &mut codes);
                let _ = prestates(&bent, 1, &mut codes);
            }
        }
        let deep = "[{\"result\":".repeat(100_000);
        assert!(prestate(deep.as_bytes(), &mut codes).is_err() && prestates(deep.as_bytes(), 1, &mut codes).is_err());
    }
}
