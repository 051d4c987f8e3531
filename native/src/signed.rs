//! Signed transactions of types 0 to 2 read from their bytes: the fields, and what was signed. Who signed is the caller's to recover.
//!
//! Only what is plainly in the protocol's one form is read. Of anything else nothing is said, not even what is wrong with it: that is for
//! a decoder that takes its time.

use alloy_rlp::{Encodable, Header};
use revm::primitives::alloy_primitives::Keccak256;
use revm::primitives::{B256, U256, keccak256, uint};

/// secp256k1's order halved: a higher `s` is invalid since EIP-2.
const HALF_ORDER: U256 = uint!(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0_U256);

/// An entry of an access list: the address, and its keys one after another.
pub type AccessEntry<'a> = ([u8; 20], Vec<&'a [u8]>);

/// A signed transaction as its bytes say. Fees in wei per gas; in types 0 and 1 both are the gas price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The keccak of the bytes.
    pub hash: B256,
    /// What was signed.
    pub digest: B256,
    /// r, s and the parity (0 or 1), with s in the lower half. That it is anybody's is not known.
    pub signature: [u8; 65],
    /// 0 legacy, 1 EIP-2930, 2 EIP-1559.
    pub tx_type: u8,
    /// The chain it was signed for; none where the signature holds on every chain (before EIP-155).
    pub chain_id: Option<u64>,
    /// The sender's nonce, below 2^63.
    pub nonce: u64,
    /// The most gas it may use, below 2^63.
    pub gas_limit: u64,
    /// The most it pays per gas.
    pub max_fee: U256,
    /// The most of it that goes to the block's builder.
    pub max_priority_fee: U256,
    /// The recipient's 20 bytes; none to create a contract.
    pub to: &'a [u8],
    /// Wei sent along.
    pub value: U256,
    /// Calldata, or the creation code.
    pub data: &'a [u8],
    /// Addresses and slots declared beforehand.
    pub access_list: Vec<AccessEntry<'a>>,
}

impl<'a> Signed<'a> {
    /// Reads a transaction; none where anything about it is not as it must be.
    #[must_use]
    pub fn read(raw: &'a [u8]) -> Option<Self> {
        let (tx_type, mut list) = match *raw.first()? {
            tx_type @ (1 | 2) => (tx_type, raw.get(1..)?),
            0xc0.. => (0, raw),
            _ => return None,
        };
        let payload = Header::decode_bytes(&mut list, true).ok().filter(|_| list.is_empty())?;
        let mut items = Items(payload);
        let declared = if tx_type == 0 { None } else { Some(items.long()?) };
        let nonce = items.uint()?;
        let max_priority_fee = items.number()?;
        let max_fee = if tx_type == 2 { items.number()? } else { max_priority_fee };
        let gas_limit = items.uint()?;
        let to = items.bytes().filter(|to| to.is_empty() || to.len() == 20)?;
        let value = items.number()?;
        let data = items.bytes()?;
        let access_list = if tx_type == 0 { Vec::new() } else { access_list(items.list()?)? };
        let unsigned = payload.get(..payload.len() - items.0.len())?;
        let v = items.long()?;
        let (r, s) = (items.number()?, items.number()?);
        items.end()?;
        let (chain_id, parity) = match (tx_type, v) {
            (0, 35..) => (Some((v - 35) / 2), (v - 35) % 2),
            (0, 27 | 28) => (None, v - 27),
            (1 | 2, 0 | 1) => (declared, v),
            _ => return None,
        };
        if r.is_zero() || s.is_zero() || s > HALF_ORDER {
            return None;
        }
        Some(Self {
            hash: keccak256(raw),
            digest: digest(tx_type, unsigned, chain_id),
            signature: signature(r, s, u8::try_from(parity).ok()?),
            tx_type,
            chain_id,
            nonce,
            gas_limit,
            max_fee,
            max_priority_fee,
            to,
            value,
            data,
            access_list,
        })
    }
}

/// What was signed: the list without the signature, in whose place a legacy transaction has its chain and two empty strings (EIP-155).
fn digest(tx_type: u8, unsigned: &[u8], chain_id: Option<u64>) -> B256 {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    if tx_type != 0 {
        head.push(tx_type);
    } else if let Some(chain_id) = chain_id {
        chain_id.encode(&mut tail);
        tail.extend([alloy_rlp::EMPTY_STRING_CODE; 2]);
    }
    Header { list: true, payload_length: unsigned.len() + tail.len() }.encode(&mut head);
    let mut hasher = Keccak256::new();
    for part in [&head, unsigned, &tail] {
        hasher.update(part);
    }
    hasher.finalize()
}

fn signature(r: U256, s: U256, parity: u8) -> [u8; 65] {
    let mut signature = [parity; 65];
    let (first, rest) = signature.split_at_mut(32);
    first.copy_from_slice(&r.to_be_bytes::<32>());
    if let Some(second) = rest.first_chunk_mut::<32>() {
        *second = s.to_be_bytes();
    }
    signature
}

fn access_list(mut entries: Items<'_>) -> Option<Vec<AccessEntry<'_>>> {
    let mut read = Vec::new();
    while !entries.0.is_empty() {
        let mut entry = entries.list()?;
        let address = entry.bytes()?.try_into().ok()?;
        let mut words = entry.list()?;
        entry.end()?;
        let mut keys = Vec::new();
        while !words.0.is_empty() {
            keys.push(words.bytes().filter(|key| key.len() == 32)?);
        }
        read.push((address, keys));
    }
    Some(read)
}

/// The items of an RLP list that have not been read yet.
struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    fn bytes(&mut self) -> Option<&'a [u8]> {
        Header::decode_bytes(&mut self.0, false).ok()
    }

    fn list(&mut self) -> Option<Self> {
        Header::decode_bytes(&mut self.0, true).ok().map(Self)
    }

    fn number(&mut self) -> Option<U256> {
        self.bytes().filter(|digits| digits.first() != Some(&0)).and_then(U256::try_from_be_slice)
    }

    fn long(&mut self) -> Option<u64> {
        self.number()?.try_into().ok()
    }

    /// A number that fits a signed 64-bit word.
    fn uint(&mut self) -> Option<u64> {
        self.long().filter(|number| number >> 63 == 0)
    }

    fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
