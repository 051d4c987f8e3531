//! One state has one packed form, and nothing else is read.

use crate::common::*;
use revm::primitives::{Address, U256, keccak256};
use sluice_evm::{CodeStore, Layer, Witness};

fn sample(codes: &CodeStore) -> Layer {
    let contracts = [Contract(TARGET, "600554", &[(9, 1), (5, 2)]), Contract(OTHER, "00", &[])];
    witness_with(codes, &contracts, &[SENDER, COINBASE, Address::ZERO]).flattened()
}

#[test]
fn what_is_packed_comes_back() {
    let codes = CodeStore::new();
    let layer = sample(&codes);
    let packed = layer.pack(true);
    let elsewhere = CodeStore::new();
    let read = Layer::parse(&packed, &elsewhere).unwrap();
    assert_eq!(read.pack(true), packed);
    assert_eq!(elsewhere.len(), 2);
    let account = read.account(&TARGET).unwrap();
    assert_eq!(account.info.code_hash, keccak256(hex("600554")));
    assert_eq!(read.slots(account), [(U256::from(5), U256::from(2)), (U256::from(9), U256::from(1))]);
    // Without its codes it is shorter, and needs the store.
    let lean = layer.pack(false);
    assert!(lean.len() < packed.len());
    assert!(Layer::parse(&lean, &codes).unwrap().account(&TARGET).unwrap().info.code.is_some());
    assert!(Layer::parse(&lean, &CodeStore::new()).unwrap().account(&TARGET).unwrap().info.code.is_none());
}

#[test]
fn every_truncation_and_every_addition_is_an_error() {
    let packed = sample(&CodeStore::new()).pack(true);
    for length in 0..packed.len() {
        let error = Layer::parse(&packed[..length], &CodeStore::new()).unwrap_err();
        assert!(error.message.contains("truncated") || error.message.contains("absurd count"), "{length}: {error}");
    }
    let longer = [packed.as_slice(), &[0]].concat();
    assert!(Layer::parse(&longer, &CodeStore::new()).unwrap_err().message.contains("1 bytes follow"));
}

#[test]
fn counts_are_held_against_what_is_left() {
    let head = b"SLWT\x01";
    for count in [1_u32, 1 << 16, u32::MAX] {
        let codes = [head.as_slice(), &count.to_be_bytes()].concat();
        let accounts = [head.as_slice(), &[0; 4], &count.to_be_bytes()].concat();
        let slots =
            [head.as_slice(), &[0; 4], &1_u32.to_be_bytes(), &[1; 20], &[0], &[0; 72], &count.to_be_bytes()].concat();
        for bytes in [codes, accounts, slots] {
            let error = Layer::parse(&bytes, &CodeStore::new()).unwrap_err();
            assert!(error.message.contains("absurd count"), "{error}");
        }
    }
}

#[test]
fn what_is_not_canonical_is_an_error() {
    let absent = |address: u8| [[address; 20].as_slice(), &[1]].concat();
    let of = |accounts: &[Vec<u8>]| {
        let count = u32::try_from(accounts.len()).unwrap().to_be_bytes();
        [b"SLWT\x01\0\0\0\0".as_slice(), &count, &accounts.concat()].concat()
    };
    let parse = |bytes: &[u8]| Layer::parse(bytes, &CodeStore::new()).map_err(|error| error.message);
    assert!(parse(&of(&[absent(1), absent(2)])).is_ok());
    assert!(parse(&of(&[absent(2), absent(1)])).unwrap_err().contains("out of order"));
    assert!(parse(&of(&[absent(1), absent(1)])).unwrap_err().contains("out of order or given twice"));
    assert!(parse(&of(&[[[1; 20].as_slice(), &[4]].concat()])).unwrap_err().contains("unknown flags"));
    let empty = keccak256([]);
    let written_out = [[1; 20].as_slice(), &[2], &[0; 40], empty.as_slice(), &[0; 4]].concat();
    assert!(parse(&of(&[written_out])).unwrap_err().contains("absent"));
    let slots = |keys: [u8; 2]| {
        let pairs: Vec<u8> = keys.iter().flat_map(|key| [[*key; 32], [0; 32]].concat()).collect();
        [[1; 20].as_slice(), &[0], &[0; 40], empty.as_slice(), &[0, 0, 0, 2], &pairs].concat()
    };
    assert!(parse(&of(&[slots([1, 2])])).is_ok());
    assert!(parse(&of(&[slots([2, 1])])).unwrap_err().contains("out of order"));
    assert!(parse(b"SLWT\x02").unwrap_err().contains("version 2"));
    assert!(parse(b"NOPE\x01").unwrap_err().contains("magic"));
    let mut packed = sample(&CodeStore::new()).pack(true);
    packed[9] ^= 1; // a code's hash
    assert!(parse(&packed).unwrap_err().contains("hashes to"));
}

#[test]
fn layers_hide_and_let_through() {
    let codes = CodeStore::new();
    let below = Witness::new(sample(&codes));
    let above = witness_with(&codes, &[Contract(TARGET, "00", &[(5, 8)])], &[OTHER]);
    let both = below.layered(&above);
    let slot = |key: u64| both.slot(&TARGET, &U256::from(key));
    assert_eq!((slot(5), slot(9), slot(6)), (Some(U256::from(8)), Some(U256::from(1)), None));
    assert_eq!(both.slot(&OTHER, &U256::from(1)), Some(U256::ZERO)); // complete above
    assert_eq!(both.account(&TARGET).unwrap().info.code_hash, keccak256([0]));
    let flat = Witness::new(both.flattened());
    for key in [5, 6, 9] {
        assert_eq!(flat.slot(&TARGET, &U256::from(key)), slot(key));
    }
    assert_eq!(flat.flattened().pack(true), both.flattened().pack(true));
}
