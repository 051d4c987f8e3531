//! What each transaction of a block changed (`diffMode`).
//!
//! Into `pre` a node writes the whole of each changed account, into `post` only the fields that changed: a slot that became
//! zero is in `pre` and missing in `post`.

use std::collections::BTreeMap;

use revm::primitives::{Address, B256};

use super::answers::answer;
use super::json::Cursor;
use super::prestate::read_slots;
use super::{Unusual, Usual, hex, once};

/// The state changes of a block's transactions, each account's together.
#[derive(Debug)]
pub struct BlockDiffs {
    hashes: Vec<Option<B256>>,
    /// In the order of the transactions.
    touches: Vec<Touch>,
    /// Where each account is in `touches`, ascending by address and place.
    order: Vec<Place>,
}

/// The first bytes of an address as a number, which is quicker to compare and mostly enough, the address, and a place in `touches`.
type Place = (u64, Address, usize);

/// An account in the diff of one transaction.
#[derive(Debug)]
struct Touch {
    address: Address,
    transaction: usize,
    before: Option<Before>,
    after: Option<After>,
}

#[derive(Debug, Default)]
struct Before {
    balance: B256,
    slots: Vec<B256>,
}

#[derive(Debug, Default)]
struct After {
    nonce: Option<u64>,
    balance: Option<B256>,
    code: Option<Vec<u8>>,
    slots: Vec<(B256, B256)>,
}

/// What is new of an account after the block; none: unchanged.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Its nonce, below 2^63.
    pub nonce: Option<u64>,
    /// Its balance in wei, big-endian.
    pub balance: Option<B256>,
    /// Its code, which may be empty.
    pub code: Option<Vec<u8>>,
    /// Slots that were written, ascending by key.
    pub slots: BTreeMap<B256, B256>,
}

/// An account's balance (wei, big-endian) in the diff of one transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// Before it, where the account is in `pre`.
    pub before: Option<B256>,
    /// After it, where `post` says so.
    pub after: Option<B256>,
}

impl BlockDiffs {
    /// Reads the answer to `debug_traceBlockByHash`.
    pub fn read(body: &[u8]) -> Usual<Self> {
        let mut cursor = Cursor::new(body);
        let (_, mut diffs) = answer(&mut cursor, |cursor| {
            let mut diffs = Self { hashes: Vec::new(), touches: Vec::new(), order: Vec::new() };
            cursor.array(|cursor| diffs.read_transaction(cursor))?;
            Ok(diffs)
        })?;
        cursor.finish()?;
        let places = diffs.touches.iter().enumerate();
        diffs.order = places.map(|(place, touch)| (start_of(&touch.address), touch.address, place)).collect();
        diffs.order.sort_unstable();
        Ok(diffs)
    }

    /// How many transactions there are.
    #[must_use]
    pub fn transactions(&self) -> usize {
        self.hashes.len()
    }

    /// Whether these are the diffs of these transactions, as far as the node named them.
    pub fn are_of(&self, hashes: impl ExactSizeIterator<Item = B256>) -> bool {
        self.hashes.len() == hashes.len()
            && self.hashes.iter().zip(hashes).all(|(told, asked)| told.is_none_or(|told| told == asked))
    }

    /// All accounts that some transaction changed or merely touched, ascending.
    pub fn touched(&self) -> impl Iterator<Item = Touched<'_>> {
        let groups = self.order.chunk_by(|a, b| a.1 == b.1);
        groups.filter_map(|places| {
            places.first().map(|(_, address, _)| Touched { address: *address, diffs: self, places })
        })
    }

    /// The account's balances as each transaction's diff has them, in order.
    #[must_use]
    pub fn balances(&self, address: &Address) -> Vec<Balances> {
        let mut out = vec![Balances::default(); self.hashes.len()];
        let name = (start_of(address), *address);
        let start = self.order.partition_point(|(first, other, _)| (*first, *other) < name);
        let places = self.order.iter().skip(start).take_while(|(_, other, _)| other == address);
        for touch in places.filter_map(|(.., place)| self.touches.get(*place)) {
            if let Some(balances) = out.get_mut(touch.transaction) {
                balances.before = touch.before.as_ref().map(|before| before.balance);
                balances.after = touch.after.as_ref().and_then(|after| after.balance);
            }
        }
        out
    }

    fn read_transaction(&mut self, cursor: &mut Cursor<'_>) -> Usual<()> {
        let (mut hash, mut error, mut result) = (None, None, None);
        let transaction = self.hashes.len();
        cursor.object(|cursor, key| match key {
            b"txHash" if cursor.found_null() => once(&mut hash, None),
            b"txHash" => once(&mut hash, Some(hex::hash(cursor.unchecked_text()?)?)),
            b"error" if cursor.found_null() => once(&mut error, ()),
            b"error" => Err(Unusual),
            b"result" => once(&mut result, read_diff(cursor, transaction, &mut self.touches)?),
            _ => cursor.skip(),
        })?;
        self.hashes.push(hash.flatten());
        result.ok_or(Unusual)
    }
}

/// An account that some transaction of a block changed or merely touched.
#[derive(Debug)]
pub struct Touched<'a> {
    /// Its address.
    pub address: Address,
    diffs: &'a BlockDiffs,
    places: &'a [Place],
}

impl Touched<'_> {
    /// The values after the block of what was written in the account, and whether some transaction left it without an after:
    /// destroyed by geth's rule, merely touched by some other node's. None for the values where no after was told.
    #[must_use]
    pub fn change(&self) -> (Option<Change>, bool) {
        let (mut change, mut doubtful) = (None, false);
        for touch in self.places.iter().filter_map(|(.., place)| self.diffs.touches.get(*place)) {
            match &touch.after {
                Some(after) => change.get_or_insert_with(Change::default).merge(touch.before.as_ref(), after),
                None => doubtful = true,
            }
        }
        (change, doubtful)
    }
}

fn start_of(address: &Address) -> u64 {
    address.first_chunk().map_or(0, |start| u64::from_be_bytes(*start))
}

impl Change {
    fn merge(&mut self, before: Option<&Before>, after: &After) {
        // What is in both is overwritten at once.
        self.slots.extend(before.into_iter().flat_map(|before| &before.slots).map(|key| (*key, B256::ZERO)));
        self.slots.extend(after.slots.iter().copied());
        self.nonce = after.nonce.or(self.nonce);
        self.balance = after.balance.or(self.balance);
        if after.code.is_some() {
            self.code.clone_from(&after.code);
        }
    }
}

/// One side of a diff: accounts by address, each with its name as written.
type Side<'a, T> = Vec<(Address, &'a [u8], T)>;

fn read_diff(cursor: &mut Cursor<'_>, transaction: usize, out: &mut Vec<Touch>) -> Usual<()> {
    let (mut pre, mut post) = (None, None);
    cursor.object(|cursor, key| match key {
        b"pre" => once(&mut pre, read_side(cursor, read_before)?),
        b"post" => once(&mut post, read_side(cursor, read_after)?),
        _ => cursor.skip(),
    })?;
    let mut afters = post.ok_or(Unusual)?.into_iter().peekable();
    for (address, name, before) in pre.ok_or(Unusual)? {
        while let Some((address, _, after)) = afters.next_if(|(other, ..)| *other < address) {
            out.push(Touch { address, transaction, before: None, after: Some(after) });
        }
        let after = match afters.next_if(|(other, ..)| *other == address) {
            Some((_, same, after)) if same == name => Some(after),
            Some(_) => return Err(Unusual),
            None => None,
        };
        out.push(Touch { address, transaction, before: Some(before), after });
    }
    out.extend(afters.map(|(address, _, after)| Touch { address, transaction, before: None, after: Some(after) }));
    Ok(())
}

fn read_side<'a, T>(cursor: &mut Cursor<'a>, mut read: impl FnMut(&mut Cursor<'a>) -> Usual<T>) -> Usual<Side<'a, T>> {
    let mut side = Vec::new();
    cursor.object(|cursor, name| {
        side.push((hex::address(name)?, name, read(cursor)?));
        Ok(())
    })?;
    side.sort_unstable_by_key(|(address, ..)| *address);
    if side.is_sorted_by(|(a, ..), (b, ..)| a < b) { Ok(side) } else { Err(Unusual) }
}

fn read_before(cursor: &mut Cursor<'_>) -> Usual<Before> {
    let (mut balance, mut slots) = (None, None);
    cursor.object(|cursor, key| {
        match key {
            b"balance" if cursor.found_null() => once(&mut balance, B256::ZERO),
            b"balance" => once(&mut balance, hex::quantity(cursor.unchecked_text()?)?),
            b"storage" if cursor.found_null() => once(&mut slots, Vec::new()),
            b"storage" => once(&mut slots, read_slots(cursor)?.into_iter().map(|(key, _)| key).collect()),
            // Its code, which is most of a block's trace, among others.
            _ => cursor.skip(),
        }
    })?;
    Ok(Before { balance: balance.unwrap_or_default(), slots: slots.unwrap_or_default() })
}

fn read_after(cursor: &mut Cursor<'_>) -> Usual<After> {
    let (mut nonce, mut balance, mut code, mut slots) = (None, None, None, None);
    cursor.object(|cursor, key| {
        if cursor.found_null() {
            return match key {
                b"nonce" => once(&mut nonce, None),
                b"balance" => once(&mut balance, None),
                b"code" => once(&mut code, None),
                b"storage" => once(&mut slots, Vec::new()),
                _ => Ok(()),
            };
        }
        match key {
            b"nonce" => once(&mut nonce, Some(hex::nonce(cursor)?)),
            b"balance" => once(&mut balance, Some(hex::quantity(cursor.unchecked_text()?)?)),
            b"code" => once(&mut code, Some(hex::data(cursor.unchecked_text()?)?)),
            b"storage" => once(&mut slots, read_slots(cursor)?),
            _ => cursor.skip(),
        }
    })?;
    Ok(After {
        nonce: nonce.flatten(),
        balance: balance.flatten(),
        code: code.flatten(),
        slots: slots.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u8) -> String {
        format!("0x{}", format!("{number:02x}").repeat(20))
    }

    fn diff(pre: &str, post: &str) -> String {
        format!("{{\"txHash\":null,\"result\":{{\"pre\":{{{pre}}},\"post\":{{{post}}}}}}}")
    }

    fn read(diffs: &[String]) -> Usual<BlockDiffs> {
        BlockDiffs::read(format!("{{\"id\":0,\"result\":[{}]}}", diffs.join(",")).as_bytes())
    }

    fn word(number: u8) -> B256 {
        B256::left_padding_from(&[number])
    }

    #[test]
    fn values_are_those_after_the_last_transaction_that_wrote_them() {
        let (one, two) = (name(0x1a), name(0x2b));
        let diffs = [
            diff(
                &format!(
                    "\"{one}\":{{\"balance\":\"0x5\",\"nonce\":1,\"code\":\"0xzz\",\"storage\":{{\"0x1\":\"0x7\"}}}}"
                ),
                &format!("\"{one}\":{{\"storage\":{{\"0x2\":\"0x9\"}}}},\"{two}\":{{\"code\":\"0x6001\",\"nonce\":1}}"),
            ),
            diff(
                &format!("\"{one}\":{{\"balance\":\"0x5\",\"storage\":{{\"0x2\":\"0x9\"}}}},\"{two}\":{{}}"),
                &format!("\"{one}\":{{\"balance\":\"0x6\",\"nonce\":\"0x2\",\"storage\":{{\"0x2\":\"0x3\"}}}}"),
            ),
        ];
        let found = read(&diffs).unwrap();
        let (first, second) = (Address::repeat_byte(0x1a), Address::repeat_byte(0x2b));
        let touched: Vec<_> = found.touched().map(|each| (each.address, each.change())).collect();
        let slots = BTreeMap::from([(word(1), word(0)), (word(2), word(3))]);
        let change = Change { nonce: Some(2), balance: Some(word(6)), code: None, slots };
        let made = Change { nonce: Some(1), code: Some(vec![0x60, 1]), ..Change::default() };
        assert_eq!(touched, [(first, (Some(change), false)), (second, (Some(made), true))]);
        assert!(found.are_of([word(1), word(2)].into_iter()) && !found.are_of([word(1)].into_iter()));
        let balances = |before: u8, after: Option<u8>| Balances { before: Some(word(before)), after: after.map(word) };
        assert_eq!(found.balances(&first), [balances(5, None), balances(5, Some(6))]);
        assert_eq!(found.balances(&second), [Balances::default(), balances(0, None)]);
        assert_eq!(found.balances(&Address::ZERO), [Balances::default(); 2]);
    }

    #[test]
    fn addresses_that_begin_alike_are_told_apart() {
        let names = ["0x00", "0x01", "0x02"].map(|end| format!("0x{}{}", "1a".repeat(19), &end[2..]));
        let side = |name: &str, nonce: u8| format!("\"{name}\":{{\"nonce\":{nonce}}}");
        let diffs = [
            diff("", &[side(&names[2], 1), side(&names[0], 2)].join(",")),
            diff("", &[side(&names[1], 3), side(&names[0], 4)].join(",")),
        ];
        let found = read(&diffs).unwrap();
        let nonces: Vec<_> = found.touched().map(|each| each.change().0.unwrap().nonce.unwrap()).collect();
        assert_eq!(nonces, [4, 3, 1]);
    }

    #[test]
    fn hashes_are_held_to_those_asked_for_where_they_are_told() {
        let named =
            |number: u8| format!("{{\"txHash\":\"{}\",\"result\":{{\"pre\":{{}},\"post\":{{}}}}}}", word(number));
        let found = read(&[named(7), diff("", "")]).unwrap();
        assert!(found.are_of([word(7), word(8)].into_iter()));
        assert!(!found.are_of([word(8), word(7)].into_iter()));
    }

    #[test]
    fn a_name_written_in_two_ways_is_unusual() {
        let (one, other) = (name(0x1a), name(0x1a).replace('a', "A"));
        let side = |name: &str| format!("\"{name}\":{{}}");
        assert!(read(&[diff(&side(&other), &side(&other))]).is_ok());
        assert_eq!(read(&[diff(&side(&one), &side(&other))]).err(), Some(Unusual));
        assert_eq!(read(&[diff("", &format!("{},{}", side(&one), side(&other)))]).err(), Some(Unusual));
    }

    #[test]
    fn what_is_no_diff_is_unusual() {
        for each in [
            "{}",
            "{\"result\":null}",
            "{\"error\":\"gone\"}",
            "{\"result\":{\"pre\":{}}}",
            "{\"result\":{\"post\":{}}}",
            "{\"result\":{\"pre\":{},\"post\":{},\"pre\":{}}}",
            "{\"txHash\":\"0x12\",\"result\":{\"pre\":{},\"post\":{}}}",
            "{\"txHash\":7,\"result\":{\"pre\":{},\"post\":{}}}",
            "[]",
            "7",
        ] {
            assert_eq!(read(&[each.to_owned()]).err(), Some(Unusual), "{each}");
        }
        assert!(read(&[diff("", ""), diff("", "")]).is_ok_and(|diffs| diffs.transactions() == 2));
        assert_eq!(BlockDiffs::read(b"{\"id\":0,\"result\":null}").err(), Some(Unusual));
    }
}
