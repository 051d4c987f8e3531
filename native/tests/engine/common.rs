//! A small state to run on.

use revm::primitives::{Address, B256, Bytes, KECCAK_EMPTY, U256};
use revm::state::AccountInfo;
use sluice_evm::{
    Block, Budget, CodeStore, Fork, LayerBuilder, Transaction, UnknownAccounts, Verdict, Witness, execute_each,
};

pub const SENDER: Address = Address::repeat_byte(0xa0);
pub const TARGET: Address = Address::repeat_byte(0xb0);
pub const OTHER: Address = Address::repeat_byte(0xc0);
pub const COINBASE: Address = Address::repeat_byte(0xd0);
pub const ETHER: u64 = 1_000_000_000_000_000_000;

/// An account of a test's state: code, and slots (small numbers).
pub struct Contract<'a>(pub Address, pub &'a str, pub &'a [(u64, u64)]);

pub fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

pub fn witness_with(codes: &CodeStore, contracts: &[Contract<'_>], plain: &[Address]) -> Witness {
    let mut builder = LayerBuilder::default();
    for address in plain {
        let info = AccountInfo { balance: U256::from(ETHER), code_hash: KECCAK_EMPTY, ..Default::default() };
        builder.add(*address, info, true, []).unwrap();
    }
    for Contract(address, code, slots) in contracts {
        let code_hash = codes.add(&hex(code));
        let info = AccountInfo { nonce: 1, code_hash, code: codes.get(&code_hash), ..Default::default() };
        let slots = slots.iter().map(|(key, value)| (U256::from(*key), U256::from(*value)));
        builder.add(*address, info, false, slots).unwrap();
    }
    Witness::new(builder.finish().unwrap())
}

/// The sender, the coinbase and these contracts.
pub fn witness(contracts: &[Contract<'_>]) -> Witness {
    witness_with(&CodeStore::new(), contracts, &[SENDER, COINBASE])
}

pub fn block(fork: &str) -> Block {
    Block::new(
        Fork::named(fork).unwrap(),
        1,
        1_000,
        1_700_000_000,
        COINBASE,
        10,
        30_000_000,
        B256::repeat_byte(7),
        U256::ZERO,
    )
}

pub fn call(gas_limit: u64) -> Transaction {
    Transaction {
        sender: SENDER,
        to: Some(TARGET),
        gas_limit,
        max_fee: 20,
        priority_fee: 1,
        tx_type: 2,
        data: Bytes::new(),
        ..Transaction::default()
    }
}

pub fn run_with(witness: &Witness, block: &Block, tx: &Transaction, budget: &Budget) -> Verdict {
    execute_each(witness, block, std::slice::from_ref(tx), UnknownAccounts::Refuse, budget, 1).remove(0)
}

pub fn run(witness: &Witness, block: &Block, tx: &Transaction) -> Verdict {
    run_with(witness, block, tx, &Budget::default())
}
