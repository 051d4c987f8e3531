//! Mutated witnesses and transactions: every one is answered, or refused as input; never a panic, abort or hang.
//!
//! `SLUICE_FUZZ` sets how many (20,000 if not said). The mutations follow from the round's number alone.

use std::time::{Duration, Instant};

use revm::primitives::{Address, B256, U256};
use sluice_evm::{
    Authority, Authorization, Block, Budget, CodeStore, Fork, Kind, Layer, Refusal, SystemCalls, Transaction,
    UnknownAccounts, Witness, execute, execute_each,
};

use crate::common::*;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn new(round: u64) -> Self {
        Self(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % limit.max(1)
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    /// Numbers at the edges of their range far more often than chance would have it.
    fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => u64::MAX - 1,
            3 => 1 << self.below(64),
            4 => self.next() & 0xff_ffff,
            _ => self.next(),
        }
    }

    fn word(&mut self) -> U256 {
        match self.below(4) {
            0 => U256::MAX,
            1 => U256::from_limbs([self.next(), self.next(), self.next(), self.next()]),
            _ => U256::from(self.number()),
        }
    }

    fn address(&mut self) -> Address {
        match self.below(8) {
            0 => Address::with_last_byte(u8::try_from(self.below(0x14)).unwrap()),
            1 => Address::repeat_byte(u8::try_from(self.below(256)).unwrap()),
            2 | 3 => SENDER,
            4 => COINBASE,
            5 => OTHER,
            _ => TARGET,
        }
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

/// A code of mostly real instructions on small operands, so that runs get somewhere.
fn code(random: &mut Random) -> Vec<u8> {
    let mut code = Vec::new();
    for _ in 0..random.below(60) {
        match random.below(12) {
            0 => code.extend([0x5f, 0x5f, 0xfd]),
            1..=7 => code.extend([0x60, u8::try_from(random.below(256)).unwrap()]),
            8..=10 => code.push(
                [0x54, 0x55, 0x51, 0x52, 0xf1, 0xf0, 0xf5, 0xfa, 0xf4, 0x5b, 0x56, 0x57, 0x20, 0x3c, 0x5c, 0x5d]
                    [random.below(16)],
            ),
            _ => code.push(u8::try_from(random.below(256)).unwrap()),
        }
    }
    code
}

fn mutated(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    let times = if random.one_in(2) { random.below(4) } else { 0 };
    for _ in 0..times {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, u8::try_from(random.below(256)).unwrap()),
            2 => bytes.extend(random.bytes(40)),
            3 => {
                let end = (at + random.below(80)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + random.below(80)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = [0, 1, 0x7f, 0x80, 0xff, *byte ^ 1][random.below(6)];
                }
            }
        }
    }
    bytes
}

fn state(random: &mut Random, codes: &CodeStore) -> Layer {
    let mut builder = sluice_evm::LayerBuilder::default();
    for address in [SENDER, COINBASE, TARGET, OTHER] {
        let mut info = revm::state::AccountInfo {
            nonce: if random.one_in(20) { random.number() } else { 0 },
            balance: if random.one_in(20) { random.word() } else { U256::from(ETHER) },
            ..Default::default()
        };
        if address == TARGET || address == OTHER || random.one_in(60) {
            info.code_hash = codes.add(&if random.one_in(12) {
                [[0xef, 1, 0].as_slice(), OTHER.as_slice()].concat()
            } else {
                code(random)
            });
            info.code = codes.get(&info.code_hash);
        }
        let slots: std::collections::BTreeMap<_, _> =
            (0..random.below(6)).map(|_| (U256::from(random.below(8)), random.word())).collect();
        builder.add(address, info, random.one_in(2), slots).unwrap();
    }
    builder.finish().unwrap()
}

fn transaction(random: &mut Random) -> Transaction {
    let tx_type = if random.one_in(20) { random.next().to_be_bytes()[0] } else { random.next().to_be_bytes()[0] % 5 };
    let mut tx = Transaction {
        sender: if random.one_in(10) { random.address() } else { SENDER },
        to: if random.one_in(6) { None } else { Some(random.address()) },
        nonce: if random.one_in(10) { random.number() } else { 0 },
        value: if random.one_in(3) { random.word() } else { U256::ZERO },
        data: random.bytes(80).into(),
        gas_limit: if random.one_in(12) { random.number() } else { 21_000 + random.next() % 300_000 },
        max_fee: if random.one_in(10) { u128::from(random.number()) << random.below(64) } else { 20 },
        priority_fee: if random.one_in(10) { u128::from(random.number()) } else { 1 },
        tx_type,
        chain_id: random.one_in(10).then(|| random.number()),
        ..Transaction::default()
    };
    if tx_type < 2 && !random.one_in(10) {
        tx.priority_fee = tx.max_fee;
    }
    if random.one_in(4) {
        tx.access_list = (0..if tx_type == 0 { random.below(2) } else { random.below(4) })
            .map(|_| (random.address(), vec![B256::from(random.word())]))
            .collect();
    }
    if (tx_type == 3) != random.one_in(30) {
        tx.blob_hashes = (0..random.below(9)).map(|at| B256::left_padding_from(&[1]).with(at)).collect();
        tx.max_blob_fee = u128::from(random.number());
    }
    if (tx_type == 4) != random.one_in(30) {
        tx.authorizations = (0..random.below(4)).map(|_| authorization(random)).collect();
    }
    tx
}

trait With {
    fn with(self, at: usize) -> Self;
}

impl With for B256 {
    fn with(mut self, at: usize) -> Self {
        self.0[0] = if at == 7 { 2 } else { 1 };
        self
    }
}

fn authorization(random: &mut Random) -> Authorization {
    let authority = match random.below(3) {
        0 => Authority::Recovered(Some(random.address())),
        1 => Authority::Recovered(None),
        _ => Authority::Signed { y_parity: random.next().to_be_bytes()[0], r: random.word(), s: random.word() },
    };
    Authorization {
        chain_id: U256::from(random.below(3)),
        address: random.address(),
        nonce: random.number() & 3,
        authority,
    }
}

fn some_block(random: &mut Random) -> Block {
    let fork = Fork::named(sluice_evm::FORK_NAMES[if random.one_in(3) { random.below(8) } else { 7 }]).unwrap();
    let gas_limit = if random.one_in(10) { random.number() } else { 30_000_000 };
    let (number, time) = (random.number(), random.number());
    let base_fee = if random.one_in(10) { random.number() } else { 10 };
    let block = Block::new(fork, 1, number, time, random.address(), base_fee, gas_limit, B256::ZERO, random.word());
    let (excess, fraction) = (random.number(), random.one_in(4).then(|| random.number()));
    block.clone().with_blob_gas(excess, fraction).unwrap_or(block).with_system_calls(SystemCalls {
        parent_hash: random.one_in(6).then_some(B256::ZERO),
        beacon_root: random.one_in(6).then_some(B256::ZERO),
    })
}

#[test]
fn nothing_panics_or_hangs() {
    let rounds: u64 = std::env::var("SLUICE_FUZZ").ok().map_or(20_000, |count| count.parse().unwrap());
    let budget = Budget { gas: 1 << 40, memory: 32 << 20, time: Some(Duration::from_secs(2)) };
    let (mut read, mut ended, mut longest) = (0_u64, [0_u64; 4], Duration::ZERO);
    let mut codes = CodeStore::new();
    for round in 0..rounds {
        let random = &mut Random::new(round);
        if codes.len() > 5_000 {
            codes = CodeStore::new();
        }
        let packed = state(random, &codes).pack(!random.one_in(3));
        let packed = mutated(random, packed);
        let Ok(witness) = Witness::parse(&packed, &codes) else { continue };
        read += 1;
        let (block, start) = (some_block(random), Instant::now());
        let txs: Vec<_> = (0..=random.below(2)).map(|_| transaction(random)).collect();
        let unknown = if random.one_in(2) { UnknownAccounts::Refuse } else { UnknownAccounts::Absent };
        let ran = execute(&witness, &block, &txs, unknown, &budget).unwrap();
        let each = execute_each(&witness, &block, &txs, unknown, &budget, 1);
        longest = longest.max(start.elapsed());
        assert_eq!((ran.verdicts.len(), each.len()), (txs.len(), txs.len()));
        if ran.refused.is_none() {
            assert_eq!(ran.verdicts[0], each[0], "round {round}");
        }
        // What was left behind has a packed form, and that can be read.
        Layer::parse(&ran.changes.pack(true), &codes).unwrap();
        for verdict in ran.verdicts.iter().chain(&each) {
            assert_ne!(verdict.reason, Refusal::EngineFailure.name(), "round {round}: {}", verdict.detail);
            ended[match verdict.kind {
                Kind::Success => 0,
                Kind::Reverted => 1,
                Kind::Halted => 2,
                Kind::Refused => 3,
            }] += 1;
        }
    }
    println!("{rounds} rounds, {read} witnesses read, success/reverted/halted/refused {ended:?}, longest {longest:?}");
    assert!(rounds < 1_000 || (read > rounds / 10 && ended.iter().all(|count| *count > 0)));
}
