//! What is not in the witness is refused by name, wherever it is read.

use std::collections::BTreeMap;

use crate::common::*;
use revm::primitives::{Address, B256, KECCAK_EMPTY, U256, keccak256};
use revm::state::AccountInfo;
use sluice_evm::{Budget, Kind, LayerBuilder, UnknownAccounts, Witness, execute, execute_each};

/// SLOAD(slot), then stop.
const READS_SLOT_5: &str = "600554 00";

/// Calls OTHER, drops the outcome, and succeeds.
fn ignores_callee(opcode: &str) -> String {
    let value = if opcode == "f1" { "5f" } else { "" };
    format!("5f5f5f5f{value} 73{} 5a {opcode} 50 00", "c0".repeat(20))
}

fn refused(verdict: &sluice_evm::Verdict, reason: &str, named: &str) {
    assert_eq!((verdict.kind, verdict.reason.as_str()), (Kind::Refused, reason), "{}", verdict.detail);
    assert!(verdict.detail.contains(named), "{} does not name {named}", verdict.detail);
    assert_eq!((verdict.gas_used, verdict.effective_gas_price), (0, 0));
}

#[test]
fn a_missing_slot() {
    let verdict = run(&witness(&[Contract(TARGET, READS_SLOT_5, &[(4, 1)])]), &block("Cancun"), &call(100_000));
    refused(&verdict, "missing_slot", &format!("slot 0x{:064x} of account {TARGET:#x}", 5));
}

#[test]
fn a_missing_slot_behind_a_call_whose_failure_is_ignored() {
    for opcode in ["f1", "f4", "fa"] {
        let contracts = [Contract(TARGET, &ignores_callee(opcode), &[]), Contract(OTHER, READS_SLOT_5, &[])];
        let verdict = run(&witness(&contracts), &block("Cancun"), &call(100_000));
        // A delegate call reads the caller's storage.
        let owner = if opcode == "f4" { TARGET } else { OTHER };
        refused(&verdict, "missing_slot", &format!("{owner:#x}"));
    }
}

#[test]
fn a_missing_account_behind_a_call_whose_failure_is_ignored() {
    for opcode in ["f1", "f4", "fa"] {
        let verdict =
            run(&witness(&[Contract(TARGET, &ignores_callee(opcode), &[])]), &block("Cancun"), &call(100_000));
        refused(&verdict, "missing_account", &format!("{OTHER:#x}"));
    }
}

#[test]
fn each_way_to_read_an_account() {
    let address = format!("73{}", "c0".repeat(20));
    for reads in ["31", "3b", "3f", "3c", "ff"] {
        let verdict = run(
            &witness(&[Contract(TARGET, &format!("5f5f5f {address} {reads} 00"), &[])]),
            &block("Cancun"),
            &call(100_000),
        );
        refused(&verdict, "missing_account", &format!("{OTHER:#x}"));
    }
}

#[test]
fn a_missing_sender_or_recipient() {
    let empty = Witness::default();
    refused(&run(&empty, &block("Cancun"), &call(100_000)), "missing_account", &format!("{SENDER:#x}"));
    refused(&run(&witness(&[]), &block("Cancun"), &call(100_000)), "missing_account", &format!("{TARGET:#x}"));
}

#[test]
fn a_code_nobody_supplied() {
    let code_hash = keccak256([0]);
    let mut builder = LayerBuilder::default();
    builder.add(TARGET, AccountInfo { code_hash, code: None, ..Default::default() }, false, []).unwrap();
    let state = witness(&[]).layered(&Witness::new(builder.finish().unwrap()));
    refused(&run(&state, &block("Cancun"), &call(100_000)), "missing_code", &format!("{code_hash:#x}"));
}

#[test]
fn a_block_hash_that_was_not_given() {
    let state = witness(&[Contract(TARGET, "6103e7 40 5f52 60205ff3", &[])]);
    refused(&run(&state, &block("Cancun"), &call(100_000)), "missing_block_hash", "block 999");
    let hash = B256::repeat_byte(9);
    let known = block("Cancun").with_block_hashes(BTreeMap::from([(999, hash)]));
    assert_eq!(run(&state, &known, &call(100_000)).output.as_ref(), hash.as_slice());
    // Out of reach: zero without asking (the block itself, and those before the last 256).
    for number in ["6103e8", "6102e7"] {
        let state = witness(&[Contract(TARGET, &format!("{number} 40 5f52 60205ff3"), &[])]);
        assert_eq!(run(&state, &block("Cancun"), &call(100_000)).output.as_ref(), [0; 32]);
    }
}

#[test]
fn out_of_gas_comes_before_missing() {
    let state = witness(&[Contract(TARGET, READS_SLOT_5, &[])]);
    let verdict = run(&state, &block("Cancun"), &call(21_100));
    assert_eq!((verdict.kind, verdict.reason.as_str()), (Kind::Halted, "OutOfGas(Basic)"));
}

#[test]
fn a_complete_account_has_zero_in_every_other_slot() {
    let codes = sluice_evm::CodeStore::new();
    let code_hash = codes.add(&hex("600554 5f52 60205ff3"));
    let mut builder = LayerBuilder::default();
    let info = AccountInfo { code_hash, code: codes.get(&code_hash), ..Default::default() };
    builder.add(TARGET, info, true, [(U256::from(4), U256::from(1))]).unwrap();
    let state = witness(&[]).layered(&Witness::new(builder.finish().unwrap()));
    assert_eq!(run(&state, &block("Cancun"), &call(100_000)).output.as_ref(), [0; 32]);
}

#[test]
fn precompiles_may_be_called_but_not_paid_without_their_account() {
    let identity = |value: &str| format!("5f5f5f5f {value} 6004 5a f1 5f52 60205ff3");
    let state = witness(&[Contract(TARGET, &identity("5f"), &[])]);
    let verdict = run(&state, &block("Cancun"), &call(100_000));
    assert_eq!((verdict.kind, verdict.output[31]), (Kind::Success, 1));

    let mut pays = call(100_000);
    pays.value = U256::from(5);
    let state = witness(&[Contract(TARGET, &identity("6001"), &[])]);
    refused(&run(&state, &block("Cancun"), &pays), "missing_account", "0x0000000000000000000000000000000000000004");
    let known = witness_with(
        &sluice_evm::CodeStore::new(),
        &[Contract(TARGET, &identity("6001"), &[])],
        &[SENDER, COINBASE, Address::with_last_byte(4)],
    );
    assert_eq!(run(&known, &block("Cancun"), &pays).kind, Kind::Success);
    // That a precompile was called says nothing about its account.
    let run = execute(&state, &block("Cancun"), &[call(100_000)], UnknownAccounts::Refuse, &Budget::default()).unwrap();
    assert!(run.changes.account(&Address::with_last_byte(4)).is_none());
}

#[test]
fn an_unknown_fee_recipient_is_paid_nothing_and_may_not_be_read() {
    let codes = sluice_evm::CodeStore::new();
    let state = witness_with(&codes, &[Contract(TARGET, "00", &[])], &[SENDER]);
    let ran = execute(&state, &block("Cancun"), &[call(100_000)], UnknownAccounts::Refuse, &Budget::default()).unwrap();
    assert_eq!(ran.verdicts[0].kind, Kind::Success);
    assert!(ran.changes.account(&COINBASE).is_none());
    let reads = witness_with(&codes, &[Contract(TARGET, "41 31 00", &[])], &[SENDER]);
    refused(&run(&reads, &block("Cancun"), &call(100_000)), "missing_account", &format!("{COINBASE:#x}"));
}

#[test]
fn accounts_outside_the_witness_may_count_as_not_existing() {
    let state = witness(&[Contract(TARGET, &format!("73{} 3f 5f52 60205ff3", "c0".repeat(20)), &[])]);
    let verdict =
        execute_each(&state, &block("Cancun"), &[call(100_000)], UnknownAccounts::Absent, &Budget::default(), 1)
            .remove(0);
    assert_eq!((verdict.kind, verdict.output.as_ref()), (Kind::Success, [0; 32].as_slice()));
    assert_ne!(KECCAK_EMPTY, B256::ZERO);
}

#[test]
fn after_a_refusal_everything_is_refused_and_earlier_changes_stay() {
    let state = witness(&[Contract(TARGET, "5f35 80 54 50 60015f55 00", &[(0, 0)])]);
    let mut reads_unknown = call(100_000);
    reads_unknown.nonce = 1;
    reads_unknown.data = U256::from(77).to_be_bytes::<32>().into();
    let mut third = call(100_000);
    third.nonce = 2;
    let txs = [call(100_000), reads_unknown, third];
    let ran = execute(&state, &block("Cancun"), &txs, UnknownAccounts::Refuse, &Budget::default()).unwrap();
    let reasons: Vec<_> = ran.verdicts.iter().map(|verdict| verdict.reason.as_str()).collect();
    assert_eq!(reasons, ["", "missing_slot", "preceding_refused"]);
    let target = ran.changes.account(&TARGET).unwrap();
    assert_eq!(ran.changes.slots(target), [(U256::ZERO, U256::from(1))]);
    assert_eq!(ran.changes.account(&SENDER).unwrap().info.nonce, 1);
}

#[test]
fn a_creation_where_storage_lies_is_refused() {
    // CREATE with empty code, the outcome dropped; TARGET has nonce 1.
    let state = witness(&[Contract(TARGET, "5f5f5ff0 50 00", &[])]);
    let mut builder = LayerBuilder::default();
    builder.add(TARGET.create(1), AccountInfo::default(), true, [(U256::ZERO, U256::from(1))]).unwrap();
    let verdict = run(&state.layered(&Witness::new(builder.finish().unwrap())), &block("Cancun"), &call(100_000));
    refused(&verdict, "impossible_account", "storage");
    let mut builder = LayerBuilder::default();
    builder.add(TARGET.create(1), AccountInfo::default(), true, [(U256::ZERO, U256::ZERO)]).unwrap();
    let verdict = run(&state.layered(&Witness::new(builder.finish().unwrap())), &block("Cancun"), &call(100_000));
    assert_eq!(verdict.kind, Kind::Success);
}
