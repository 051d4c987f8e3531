//! The calls the protocol makes before a block's first transaction.

use crate::common::*;
use revm::primitives::{Address, B256, U256, address};
use sluice_evm::{Budget, CodeStore, Kind, SystemCalls, UnknownAccounts, execute};

const HISTORY: Address = address!("0000F90827F1C53a10cb7A02335B175320002935");
/// The runtime code that EIP-2935 gives.
const HISTORY_CODE: &str = "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff8143031160425761\
    1fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";

#[test]
fn the_parents_hash_is_stored_under_prague_and_nothing_under_cancun() {
    let codes = CodeStore::new();
    let contracts = [Contract(HISTORY, HISTORY_CODE, &[(999, 0)]), Contract(TARGET, "00", &[])];
    let state = witness_with(&codes, &contracts, &[SENDER, COINBASE]);
    let calls = SystemCalls { parent_hash: Some(B256::repeat_byte(0x77)), beacon_root: Some(B256::ZERO) };
    for (fork, stored) in [("Prague", true), ("Cancun", false)] {
        let block = block(fork).with_system_calls(calls);
        let ran = execute(&state, &block, &[], UnknownAccounts::Refuse, &Budget::default()).unwrap();
        assert!(ran.refused.is_none());
        let slots = ran.changes.account(&HISTORY).map(|account| ran.changes.slots(account).to_vec());
        let hash = U256::from_be_bytes([0x77; 32]);
        assert_eq!(slots, stored.then(|| vec![(U256::from(999), hash)]));
        assert_eq!(ran.changes.accounts().len(), usize::from(stored));
    }
}

#[test]
fn without_the_contract_nothing_happens() {
    let calls = SystemCalls { parent_hash: Some(B256::ZERO), beacon_root: Some(B256::ZERO) };
    let state = witness(&[Contract(TARGET, "00", &[])]);
    let block = block("Prague").with_system_calls(calls);
    let ran = execute(&state, &block, &[call(100_000)], UnknownAccounts::Refuse, &Budget::default()).unwrap();
    assert_eq!(ran.verdicts[0].kind, Kind::Success);
}

#[test]
fn a_slot_it_lacks_refuses_the_block() {
    let state = witness(&[Contract(TARGET, "00", &[]), Contract(HISTORY, HISTORY_CODE, &[])]);
    let calls = SystemCalls { parent_hash: Some(B256::ZERO), beacon_root: None };
    let block = block("Prague").with_system_calls(calls);
    let ran = execute(&state, &block, &[call(100_000)], UnknownAccounts::Refuse, &Budget::default()).unwrap();
    let refused = ran.refused.unwrap();
    assert_eq!(refused.reason, "missing_slot");
    assert!(refused.detail.starts_with("EIP-2935: slot"), "{}", refused.detail);
    assert_eq!(ran.verdicts[0].reason, "preceding_refused");
}
