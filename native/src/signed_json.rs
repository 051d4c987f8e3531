//! Signed transactions as JSON-RPC writes them, back to their bytes.

use std::fmt;

use alloy_rlp::{Encodable, Header};
use revm::primitives::{B256, hex, keccak256};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Room for everything but calldata and access list.
const FIELDS: usize = 256;

/// The hash that a transaction object of types 0 to 2 says it has, and the signed bytes that its fields make and that have this hash.
///
/// None where a field is missing, unusual or of another type than nodes write, or the bytes have another hash: a decoder that takes its
/// time says what it is.
#[must_use]
pub fn signed_bytes(object: &[u8]) -> Option<(B256, Vec<u8>)> {
    serde_json::from_slice::<Object<'_>>(object).ok()?.encode()
}

/// The fields as text, none where there is none.
#[derive(Default)]
struct Object<'a> {
    hash: Option<&'a str>,
    nonce: Option<&'a str>,
    gas: Option<&'a str>,
    value: Option<&'a str>,
    input: Option<&'a str>,
    r: Option<&'a str>,
    s: Option<&'a str>,
    from: Option<&'a str>,
    tx_type: Option<&'a str>,
    to: Option<&'a str>,
    v: Option<&'a str>,
    y_parity: Option<&'a str>,
    chain_id: Option<&'a str>,
    gas_price: Option<&'a str>,
    max_fee: Option<&'a str>,
    max_priority_fee: Option<&'a str>,
    block_hash: Option<&'a str>,
    access_list: Option<Vec<Entry<'a>>>,
}

struct Entry<'a> {
    address: &'a str,
    keys: Vec<&'a str>,
}

impl<'a> Object<'a> {
    /// A field that is never null.
    fn text(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        Some(match name {
            "hash" => &mut self.hash,
            "nonce" => &mut self.nonce,
            "gas" => &mut self.gas,
            "value" => &mut self.value,
            "input" => &mut self.input,
            "r" => &mut self.r,
            "s" => &mut self.s,
            "from" => &mut self.from,
            "type" => &mut self.tx_type,
            _ => return None,
        })
    }

    /// A field that may be null.
    fn optional(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        Some(match name {
            "to" => &mut self.to,
            "v" => &mut self.v,
            "yParity" => &mut self.y_parity,
            "chainId" => &mut self.chain_id,
            "gasPrice" => &mut self.gas_price,
            "maxFeePerGas" => &mut self.max_fee,
            "maxPriorityFeePerGas" => &mut self.max_priority_fee,
            "blockHash" => &mut self.block_hash,
            _ => return None,
        })
    }

    fn encode(&self) -> Option<(B256, Vec<u8>)> {
        // It must be there, and is the signature's to say.
        self.from?;
        let tx_type = match self.tx_type {
            None | Some("0x0") => 0,
            Some("0x1") => 1,
            Some("0x2") => 2,
            Some(_) => return None,
        };
        let mut list = Vec::with_capacity(FIELDS + self.input?.len() / 2);
        if tx_type != 0 {
            put_number(self.chain_id, &mut list)?;
        }
        put_number(self.nonce, &mut list)?;
        if tx_type == 2 {
            put_number(self.max_priority_fee, &mut list)?;
            put_number(self.max_fee, &mut list)?;
        } else {
            put_number(self.gas_price, &mut list)?;
        }
        put_number(self.gas, &mut list)?;
        match self.to {
            Some(to) => put_fixed::<20>(to, &mut list)?,
            None => [0_u8; 0].encode(&mut list),
        }
        put_number(self.value, &mut list)?;
        bytes(self.input?)?.as_slice().encode(&mut list);
        if tx_type != 0 {
            // Old exports leave an empty list out.
            put_access_list(self.access_list.as_deref().unwrap_or_default(), &mut list)?;
        }
        // Older nodes have no parity by its name.
        put_number(if tx_type == 0 { self.v } else { self.y_parity.or(self.v) }, &mut list)?;
        put_number(self.r, &mut list)?;
        put_number(self.s, &mut list)?;

        let mut raw = Vec::with_capacity(list.len() + 16);
        if tx_type != 0 {
            raw.push(tx_type);
        }
        put_list(&list, &mut raw);
        let hash = B256::new(fixed(self.hash?)?);
        (keccak256(&raw) == hash).then_some((hash, raw))
    }
}

fn put_access_list(entries: &[Entry<'_>], out: &mut Vec<u8>) -> Option<()> {
    let mut list = Vec::new();
    for entry in entries {
        let (mut parts, mut keys) = (Vec::new(), Vec::new());
        put_fixed::<20>(entry.address, &mut parts)?;
        for key in &entry.keys {
            put_fixed::<32>(key, &mut keys)?;
        }
        put_list(&keys, &mut parts);
        put_list(&parts, &mut list);
    }
    put_list(&list, out);
    Some(())
}

fn put_list(items: &[u8], out: &mut Vec<u8>) {
    Header { list: true, payload_length: items.len() }.encode(out);
    out.extend_from_slice(items);
}

fn put_fixed<const N: usize>(text: &str, out: &mut Vec<u8>) -> Option<()> {
    fixed::<N>(text)?.encode(out);
    Some(())
}

/// A number of at most 256 bits in its shortest form: zero is empty.
fn put_number(text: Option<&str>, out: &mut Vec<u8>) -> Option<()> {
    let digits = text?.strip_prefix("0x").filter(|digits| !digits.is_empty())?;
    let mut padded = [b'0'; 64];
    padded.get_mut(64_usize.checked_sub(digits.len())?..)?.copy_from_slice(digits.as_bytes());
    let mut word = [0; 32];
    hex::decode_to_slice(padded, &mut word).ok()?;
    let first = word.iter().position(|byte| *byte != 0).unwrap_or(word.len());
    word.get(first..)?.encode(out);
    Some(())
}

fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(prefixed(text)?, &mut bytes).ok()?;
    Some(bytes)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    hex::decode(prefixed(text)?).ok()
}

/// The decoder would do without the prefix.
fn prefixed(text: &str) -> Option<&str> {
    text.starts_with("0x").then_some(text)
}

// -------------------------------------------------------------------- read

// By hand, because what is derived takes an object's fields in a list, too, and skips over anything where they have other names.

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a transaction object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = Object::default();
        while let Some(name) = map.next_key::<&str>()? {
            if let Some(field) = object.text(name) {
                *field = Some(map.next_value()?);
            } else if let Some(field) = object.optional(name) {
                *field = map.next_value()?;
            } else if name == "accessList" {
                object.access_list = map.next_value()?;
            } else {
                map.next_value::<Flat>()?;
            }
        }
        Ok(object)
    }
}

impl<'de> Deserialize<'de> for Entry<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an entry of an access list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut address, mut keys) = (None, Vec::new());
        while let Some(name) = map.next_key::<&str>()? {
            match name {
                "address" => address = Some(map.next_value()?),
                "storageKeys" => keys = map.next_value()?,
                _ => return Err(A::Error::custom("an unusual field")),
            }
        }
        Ok(Entry { address: address.ok_or_else(|| A::Error::missing_field("address"))?, keys })
    }
}

/// A value that nobody reads: neither list nor object, which might be without end.
struct Flat;

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FlatVisitor)
    }
}

struct FlatVisitor;

impl<'de> Visitor<'de> for FlatVisitor {
    type Value = Flat;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value without parts")
    }

    fn visit_unit<E: Error>(self) -> Result<Flat, E> {
        Ok(Flat)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Flat, E> {
        Ok(Flat)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Flat, E> {
        Ok(Flat)
    }

    fn visit_borrowed_str<E: Error>(self, _: &'de str) -> Result<Flat, E> {
        Ok(Flat)
    }
}
