//! A bomb costs its own candidate, and nothing else.

use std::time::{Duration, Instant};

use crate::common::*;
use sluice_evm::{Budget, Case, Kind, UnknownAccounts, execute_cases, execute_each};

const ENDLESS: &str = "5b 5f 56";

fn huge_block() -> sluice_evm::Block {
    use revm::primitives::{B256, U256};
    sluice_evm::Block::new(
        sluice_evm::Fork::named("Cancun").unwrap(),
        1,
        1_000,
        1_700_000_000,
        COINBASE,
        0,
        u64::MAX,
        B256::ZERO,
        U256::ZERO,
    )
}

fn free(gas_limit: u64) -> sluice_evm::Transaction {
    sluice_evm::Transaction { max_fee: 0, priority_fee: 0, ..call(gas_limit) }
}

#[test]
fn an_endless_loop_ends_with_the_time() {
    let budget = Budget { time: Some(Duration::from_millis(30)), ..Budget::default() };
    let start = Instant::now();
    let state = witness(&[Contract(TARGET, ENDLESS, &[])]);
    let verdict = run_with(&state, &huge_block(), &free(u64::MAX / 2), &budget);
    assert_eq!((verdict.kind, verdict.reason.as_str()), (Kind::Refused, "time_budget"));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_endless_recursion_ends_with_the_time() {
    // Calls itself for ever: each frame is short, so the clock has to be looked at across frames.
    let recursion = format!("5b 5f5f5f5f5f 73{} 5a f1 50 5f 56", "b0".repeat(20));
    let budget = Budget { time: Some(Duration::from_millis(30)), ..Budget::default() };
    let verdict = run_with(&witness(&[Contract(TARGET, &recursion, &[])]), &huge_block(), &free(u64::MAX / 2), &budget);
    assert_eq!(verdict.reason, "time_budget");
}

#[test]
fn enough_time_changes_nothing() {
    let state = witness(&[Contract(TARGET, "60ff5b 6001 90 03 80 6002 57 5f52 60205ff3", &[])]);
    let timed = Budget { time: Some(Duration::from_secs(60)), ..Budget::default() };
    let tx = call(1_000_000);
    assert_eq!(run(&state, &block("Cancun"), &tx), run_with(&state, &block("Cancun"), &tx, &timed));
    assert_eq!(run(&state, &block("Cancun"), &tx).kind, Kind::Success);
}

#[test]
fn a_memory_bomb_is_refused_also_when_its_failure_is_ignored() {
    // MSTORE at 1 GiB: pays for it with absurd gas.
    let bomb = "5f 6340000000 52 00";
    let state = witness(&[Contract(TARGET, bomb, &[])]);
    let verdict = run(&state, &huge_block(), &free(u64::MAX / 2));
    assert_eq!((verdict.kind, verdict.reason.as_str()), (Kind::Refused, "memory_budget"));
    let ignoring = format!("5f5f5f5f5f 73{} 5a f1 50 00", "c0".repeat(20));
    let state = witness(&[Contract(TARGET, &ignoring, &[]), Contract(OTHER, bomb, &[])]);
    assert_eq!(run(&state, &huge_block(), &free(u64::MAX / 2)).reason, "memory_budget");
}

#[test]
fn memory_that_the_gas_does_not_cover_is_out_of_gas_as_on_the_chain() {
    let state = witness(&[Contract(TARGET, "5f 6340000000 52 00", &[])]);
    let verdict = run(&state, &block("Cancun"), &call(30_000_000));
    assert_eq!((verdict.kind, verdict.gas_used), (Kind::Halted, 30_000_000));
}

#[test]
fn gas_above_the_budget_is_refused_before_anything_runs() {
    let budget = Budget { gas: 99_999, ..Budget::default() };
    let state = witness(&[Contract(TARGET, "00", &[])]);
    assert_eq!(run_with(&state, &block("Cancun"), &call(100_000), &budget).reason, "gas_budget");
    assert_eq!(run_with(&state, &block("Cancun"), &call(99_999), &budget).kind, Kind::Success);
}

#[test]
fn neighbours_of_bombs_are_answered_and_threads_do_not_show() {
    let codes = sluice_evm::CodeStore::new();
    let contracts = [
        // SSTORE(0, SLOAD(0) + CALLVALUE); logs it; returns it.
        Contract(TARGET, "5f54 34 01 80 5f55 5f52 60205fa0 60205ff3", &[(0, 100)]),
        Contract(OTHER, ENDLESS, &[]),
    ];
    let state = witness_with(&codes, &contracts, &[SENDER, COINBASE]);
    let txs: Vec<_> = (0..200_u64)
        .map(|number| {
            let mut tx = call(200_000);
            tx.value = revm::primitives::U256::from(number);
            if number % 7 == 0 {
                tx.to = Some(OTHER);
            }
            if number % 11 == 0 {
                tx.nonce = 3;
            }
            tx
        })
        .collect();
    let each = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            execute_each(&state, &block("Cancun"), &txs, UnknownAccounts::Refuse, &Budget::default(), threads)
        })
    };
    let alone = each(1);
    assert!(alone.iter().any(|verdict| verdict.kind == Kind::Halted));
    assert!(alone.iter().any(|verdict| verdict.reason == "nonce_too_high"));
    assert_eq!(alone.iter().filter(|verdict| verdict.kind == Kind::Success).count(), 155);
    for threads in [2, 3, 8] {
        assert_eq!(each(threads), alone, "{threads} threads");
    }
}

#[test]
fn cases_end_as_each_of_them_does_alone() {
    // Returns a slot of which each state says something else, and the last one nothing.
    let states =
        [&[(0, 100)][..], &[(0, 7)], &[]].map(|slots| witness(&[Contract(TARGET, "5f54 5f52 60205ff3", slots)]));
    let blocks = [block("Shanghai"), block("Cancun")];
    let txs: Vec<_> = (0..40).map(|number| call(100_000 + number)).collect();
    let cases: Vec<_> =
        txs.iter().enumerate().map(|(at, tx)| Case { witness: &states[at % 3], block: &blocks[at % 2], tx }).collect();
    let alone: Vec<_> = cases
        .iter()
        .map(|case| {
            let tx = std::slice::from_ref(case.tx);
            execute_each(case.witness, case.block, tx, UnknownAccounts::Refuse, &Budget::default(), 1).remove(0)
        })
        .collect();
    assert_eq!(alone[2].reason, "missing_slot");
    assert_ne!(alone[0].output, alone[1].output);
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| execute_cases(&cases, UnknownAccounts::Refuse, &Budget::default(), threads));
        assert_eq!(found, alone, "{threads} threads");
    }
}
