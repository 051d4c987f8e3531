//! Each type with missing or contradictory fields, and every cause for which no block could hold a transaction.

use crate::common::*;
use revm::primitives::{Address, B256, U256};
use sluice_evm::{Authority, Authorization, Kind, Transaction};

fn blob() -> Transaction {
    Transaction {
        tx_type: 3,
        blob_hashes: vec![B256::with_last_byte(1).tap(|hash| hash.0[0] = 1)],
        max_blob_fee: 10,
        ..call(100_000)
    }
}

trait Tap: Sized {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}
impl<T> Tap for T {}

fn authorization() -> Authorization {
    Authorization { chain_id: U256::ZERO, address: OTHER, nonce: 0, authority: Authority::Recovered(None) }
}

fn set_code() -> Transaction {
    Transaction { tx_type: 4, authorizations: vec![authorization()], ..call(100_000) }
}

fn reason(fork: &str, tx: &Transaction) -> String {
    let verdict = run(&witness(&[Contract(TARGET, "00", &[])]), &block(fork), tx);
    assert!(verdict.kind != Kind::Refused || !verdict.detail.is_empty());
    verdict.reason
}

#[test]
fn the_plain_ones_run() {
    for tx_type in 0..=2 {
        let tx = Transaction { tx_type, priority_fee: 20, ..call(100_000) };
        assert_eq!(reason("Cancun", &tx), "", "type {tx_type}");
    }
    assert_eq!(reason("Cancun", &blob()), "");
    assert_eq!(reason("Prague", &set_code()), "");
    assert_eq!(reason("Osaka", &set_code()), "");
}

#[test]
fn contradictory_fields() {
    let legacy = Transaction { tx_type: 0, priority_fee: 20, ..call(100_000) };
    let cases = [
        legacy.clone().tap(|tx| tx.access_list = vec![(OTHER, vec![])]),
        legacy.clone().tap(|tx| tx.blob_hashes = blob().blob_hashes),
        legacy.clone().tap(|tx| tx.max_blob_fee = 1),
        legacy.clone().tap(|tx| tx.authorizations = vec![authorization()]),
        legacy.clone().tap(|tx| tx.priority_fee = 1),
        legacy.tap(|tx| {
            tx.tx_type = 1;
            tx.priority_fee = 1;
        }),
        call(100_000).tap(|tx| tx.blob_hashes = blob().blob_hashes),
        call(100_000).tap(|tx| tx.authorizations = vec![authorization()]),
        blob().tap(|tx| tx.blob_hashes.clear()),
        blob().tap(|tx| tx.to = None),
        blob().tap(|tx| tx.authorizations = vec![authorization()]),
        blob().tap(|tx| tx.blob_hashes[0].0[0] = 2),
        blob().tap(|tx| tx.blob_hashes = vec![tx.blob_hashes[0]; 7]),
        set_code().tap(|tx| tx.authorizations.clear()),
        set_code().tap(|tx| tx.to = None),
        set_code().tap(|tx| tx.blob_hashes = blob().blob_hashes),
        call(100_000).tap(|tx| tx.tx_type = 5),
        call(100_000).tap(|tx| tx.tx_type = 255),
    ];
    for tx in cases {
        assert_eq!(reason(if tx.tx_type == 4 { "Prague" } else { "Cancun" }, &tx), "unsupported_transaction", "{tx:?}");
    }
}

#[test]
fn types_that_the_fork_does_not_have() {
    let access_list = Transaction { tx_type: 1, priority_fee: 20, ..call(100_000) };
    for (fork, tx) in
        [("Istanbul", access_list), ("Berlin", call(100_000)), ("Shanghai", blob()), ("Cancun", set_code())]
    {
        assert_eq!(reason(fork, &tx), "unsupported_transaction", "{fork}");
    }
}

#[test]
fn every_cause_has_its_name() {
    let cases: [(&str, &str, Transaction); 12] = [
        ("nonce_too_high", "Cancun", call(100_000).tap(|tx| tx.nonce = 1)),
        ("out_of_range", "Cancun", call(100_000).tap(|tx| tx.nonce = u64::MAX)),
        ("sender_has_code", "Cancun", call(100_000).tap(|tx| (tx.sender, tx.nonce) = (TARGET, 1))),
        ("fee_below_base", "Cancun", call(100_000).tap(|tx| tx.max_fee = 9)),
        ("priority_above_max", "Cancun", call(100_000).tap(|tx| tx.priority_fee = 21)),
        ("insufficient_funds", "Cancun", call(100_000).tap(|tx| tx.value = U256::from(ETHER))),
        ("insufficient_funds", "Cancun", call(100_000).tap(|tx| tx.value = U256::MAX - U256::from(2_000_000))),
        ("intrinsic_gas", "Cancun", call(20_999)),
        ("initcode_too_large", "Cancun", call(20_000_000).tap(|tx| (tx.to, tx.data) = (None, vec![0; 49_153].into()))),
        ("gas_above_block_limit", "Cancun", call(30_000_001)),
        ("gas_above_cap", "Osaka", call(16_777_217)),
        ("wrong_chain", "Cancun", call(100_000).tap(|tx| tx.chain_id = Some(2))),
    ];
    for (expected, fork, tx) in cases {
        assert_eq!(reason(fork, &tx), expected, "{tx:?}");
    }
    let calldata = call(21_300).tap(|tx| tx.data = vec![1; 16].into());
    assert_eq!((reason("Cancun", &calldata), reason("Prague", &calldata)), (String::new(), "intrinsic_gas".into()));
    let cheap = block("Cancun").with_blob_gas(100_000_000, None).unwrap();
    let verdict = run(&witness(&[Contract(TARGET, "00", &[])]), &cheap, &blob());
    assert_eq!(verdict.reason, "blob_fee_too_low");
}

#[test]
fn an_overflowing_payment_is_refused() {
    let tx = call(30_000_000).tap(|tx| {
        tx.max_fee = u128::MAX;
        tx.value = U256::MAX;
    });
    assert!(["out_of_range", "insufficient_funds"].contains(&reason("Cancun", &tx).as_str()));
}

#[test]
fn blob_prices_that_would_not_end_are_refused_as_input() {
    assert!(block("Cancun").with_blob_gas(u64::MAX, None).is_err());
    assert!(block("Cancun").with_blob_gas(1, Some(0)).is_err());
    assert!(block("Prague").with_blob_gas(48 * 5_007_716, None).is_ok());
    assert!(block("Osaka").with_blob_gas(48 << 32, Some(1 << 32)).is_ok());
}

#[test]
fn a_set_code_transaction_delegates() {
    let authority = Address::repeat_byte(0xee);
    let codes = sluice_evm::CodeStore::new();
    let contracts = [Contract(TARGET, "00", &[]), Contract(OTHER, "602a5f52 60205ff3", &[])];
    let state = witness_with(&codes, &contracts, &[SENDER, COINBASE, authority]);
    let tx = set_code().tap(|tx| {
        tx.to = Some(authority);
        tx.authorizations[0].authority = Authority::Recovered(Some(authority));
    });
    let verdict = run(&state, &block("Prague"), &tx);
    assert_eq!((verdict.kind, verdict.output[31]), (Kind::Success, 42));
    // The delegation is state: the next transaction sees it, and its packed form carries it.
    let unknown = sluice_evm::UnknownAccounts::Refuse;
    let ran = sluice_evm::execute(&state, &block("Prague"), &[tx], unknown, &sluice_evm::Budget::default()).unwrap();
    let changes = sluice_evm::Witness::parse(&ran.changes.pack(true), &codes).unwrap();
    let next = call(100_000).tap(|tx| (tx.to, tx.nonce) = (Some(authority), 1));
    assert_eq!(run(&state.layered(&changes), &block("Prague"), &next).output[31], 42);
}

#[test]
fn fees_nonces_and_changes_are_told() {
    let state = witness(&[Contract(TARGET, "60075f55 00", &[(0, 3)])]);
    let tx = call(100_000).tap(|tx| tx.value = U256::from(11));
    let verdict = run(&state, &block("Cancun"), &tx);
    assert_eq!((verdict.kind, verdict.gas_used, verdict.effective_gas_price), (Kind::Success, 21_000 + 5_005, 11));
    let slot = verdict.slots[0];
    assert_eq!((slot.address, slot.before, slot.after), (TARGET, U256::from(3), U256::from(7)));
    let fee = U256::from(26_005 * 11);
    let changed: Vec<_> = verdict.accounts.iter().map(|change| (change.address, change.nonce_after)).collect();
    assert_eq!(changed, [(SENDER, 1), (TARGET, 1), (COINBASE, 0)]);
    assert_eq!(verdict.accounts[0].balance_before - verdict.accounts[0].balance_after, fee + U256::from(11));
    assert_eq!(verdict.accounts[2].balance_after - verdict.accounts[2].balance_before, U256::from(26_005));
}
