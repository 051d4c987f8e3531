//! Signed transactions: what is read of their bytes, and that nothing is read of bytes that somebody changed a little.
//!
//! The Python tests hold both readers to a decoder of their own, over recorded transactions and many more mutations.

use alloy_rlp::{Encodable, Header};
use revm::primitives::{U256, keccak256};
use sluice_evm::{Signed, signed_bytes};

use crate::common::hex;

/// EIP-155's own example.
const LEGACY: &str = "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a0\
    28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";

fn list(items: &[&[u8]]) -> Vec<u8> {
    let (payload, mut out) = (items.concat(), Vec::new());
    Header { list: true, payload_length: payload.len() }.encode(&mut out);
    out.extend(payload);
    out
}

fn item(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes.encode(&mut out);
    out
}

/// A transaction of type 2 with one of its items in RLP replaced.
fn dynamic_fee(replaced: usize, by: &[u8]) -> Vec<u8> {
    let address = item(&[0x35; 20]);
    let key = item(&[7; 32]);
    let access_list = list(&[&list(&[&address, &list(&[&key, &key])])]);
    let mut items: Vec<Vec<u8>> = [1, 7, 2, 9, 60, 0, 5].iter().map(|number| item(&[*number])).collect();
    items[5] = address;
    items.extend([item(b"data"), access_list, item(&[1]), item(&[9; 32]), item(&[8; 31])]);
    items[replaced] = by.to_vec();
    let items: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
    [vec![2], list(&items)].concat()
}

#[test]
fn the_example_of_eip_155() {
    let raw = hex(LEGACY);
    let signed = Signed::read(&raw).unwrap();
    assert_eq!((signed.tx_type, signed.chain_id, signed.nonce, signed.gas_limit), (0, Some(1), 9, 21_000));
    assert_eq!((signed.max_fee, signed.max_priority_fee), (U256::from(20_000_000_000_u64), signed.max_fee));
    assert_eq!((signed.to, signed.data), ([0x35; 20].as_slice(), [].as_slice()));
    assert_eq!(signed.digest.to_vec(), hex("daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"));
    assert_eq!((signed.hash, signed.signature[64]), (keccak256(&raw), 0));
}

#[test]
fn a_dynamic_fee_and_an_access_list() {
    let raw = dynamic_fee(0, &[1]);
    let signed = Signed::read(&raw).unwrap();
    assert_eq!(
        (signed.tx_type, signed.chain_id, signed.max_priority_fee, signed.max_fee),
        (2, Some(1), U256::from(2), U256::from(9))
    );
    assert_eq!(signed.access_list, [([0x35; 20], vec![[7; 32].as_slice(); 2])]);
    assert_eq!(
        (&signed.signature[..32], signed.signature[32], &signed.signature[33..]),
        ([9; 32].as_slice(), 0, [[8; 31].as_slice(), &[1]].concat().as_slice())
    );
}

#[test]
fn what_is_out_of_form_or_range_is_not_read() {
    let empty_list = list(&[]);
    let over = [vec![0x89, 1], vec![0; 8]].concat();
    let upper = item(&hex("7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A1"));
    let cases: &[(usize, &[u8])] = &[
        (0, &over),
        (1, &[0]),
        (1, &[0x81, 7]),
        (1, &[0x82, 0, 7]),
        (1, &[0x88, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        (2, &empty_list),
        (5, &[0x93; 20]),
        (6, &[vec![0xa1], vec![1; 33]].concat()),
        (7, &empty_list),
        (8, &[0x80]),
        (8, &list(&[&list(&[])])),
        (8, &list(&[&list(&[&item(&[1; 20]), &list(&[&item(&[1; 31])])])])),
        (8, &list(&[&list(&[&item(&[1; 20]), &list(&[]), &[1]])])),
        (9, &[2]),
        (10, &[0x80]),
        (11, &[0x80]),
        (11, &upper),
        (11, &[]),
    ];
    for (at, by) in cases {
        assert_eq!(Signed::read(&dynamic_fee(*at, by)), None, "item {at} replaced by {by:x?}");
    }
    let raw = hex(LEGACY);
    for end in 0..raw.len() {
        assert_eq!(Signed::read(&raw[..end]), None);
    }
    assert_eq!(Signed::read(&[raw, vec![0]].concat()), None);
}

#[test]
fn one_changed_byte_never_panics_and_never_keeps_the_hash() {
    for raw in [hex(LEGACY), dynamic_fee(0, &[1])] {
        let hash = Signed::read(&raw).unwrap().hash;
        for at in 0..raw.len() {
            for byte in 0..=u8::MAX {
                let mut changed = raw.clone();
                changed[at] = byte;
                assert!(changed == raw || Signed::read(&changed).is_none_or(|signed| signed.hash != hash));
            }
        }
    }
}

fn object(hash: &str) -> String {
    format!(
        r#"{{"hash":"{hash}","from":"0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f","type":"0x0","nonce":"0x9","gasPrice":"0x4a817c800","gas":"0x5208","to":"0x{to}",
        "value":"0xde0b6b3a7640000","input":"0x","v":"0x25","r":"0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276",
        "s":"0x67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83","blockHash":null,"blockNumber":null,"more":7}}"#,
        to = "35".repeat(20)
    )
}

#[test]
fn an_object_of_json_is_the_bytes_of_its_hash() {
    let raw = hex(LEGACY);
    let hash = keccak256(&raw);
    let told = object(&hash.to_string());
    assert_eq!(signed_bytes(told.as_bytes()), Some((hash, raw)));
    for (was, is) in [
        (r#""0x9""#, r#""0x8""#),
        (r#""0x9""#, "9"),
        (r#""0x9""#, "null"),
        (r#""0x9""#, r#""0x_9""#),
        (r#""0x25""#, r#""0x""#),
        (r#""more":7"#, r#""more":[]"#),
        (r#""more":7"#, r#""more":{}"#),
        (r#""type":"0x0""#, r#""type":null"#),
        (r#""type":"0x0""#, r#""type":"0x3""#),
        (r#""blockHash":null"#, r#""blockHash":7"#),
        (r#""blockHash":null"#, r#""accessList":[["0x",[]]]"#),
        ("0x3535", "0x035"),
    ] {
        assert!(told.contains(was));
        assert_eq!(signed_bytes(told.replacen(was, is, 1).as_bytes()), None, "{is}");
    }
    for end in 0..told.len() {
        assert_eq!(signed_bytes(&told.as_bytes()[..end]), None);
    }
    assert_eq!(signed_bytes(&[told.as_bytes(), b"{"].concat()), None);
    assert_eq!(signed_bytes(object(&keccak256(b"").to_string()).as_bytes()), None);
}
