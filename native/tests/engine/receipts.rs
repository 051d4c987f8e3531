//! A block's receipts: what is plainly as usual is read, and nothing of what is not.
//!
//! The Python tests hold the reader to a slower one, over recorded blocks and many more changes.

use revm::primitives::{Address, B256};
use sluice_evm::traces::{BlockReceipts, Expected, Unusual};

const HASH: B256 = B256::repeat_byte(0x0b);
const TRANSACTIONS: [B256; 2] = [B256::repeat_byte(1), B256::repeat_byte(2)];
const EXPECTED: Expected<'_> = Expected { block_hash: HASH, gas_used: 0x30, transactions: &TRANSACTIONS };

fn log(transaction: u8, index: u8, topics: usize) -> String {
    let topics = vec![format!("\"0x{}\"", "1f".repeat(32)); topics].join(",");
    format!(
        "{{\"address\":\"0x{}\",\"topics\":[{topics}],\"data\":\"0x{}\",\"blockHash\":\"{HASH:#x}\",\
         \"transactionIndex\":\"0x{transaction:x}\",\"logIndex\":\"0x{index:x}\",\"removed\":false}}",
        "aB".repeat(20),
        "5c".repeat(usize::from(index)),
    )
}

fn receipt(index: u8, fields: &str, logs: &[String]) -> String {
    format!(
        "{{\"transactionHash\":\"0x{}\",\"transactionIndex\":\"0x{index:x}\",\"blockHash\":\"{HASH:#x}\",\"gasUsed\":\"0x18\",\
         \"cumulativeGasUsed\":\"0x{:x}\",\"logsBloom\":\"0x00\",{fields}\"from\":\"0x{}\",\"logs\":[{}]}}",
        format!("{:02x}", index + 1).repeat(32),
        u32::from(index + 1) * 0x18,
        "07".repeat(20),
        logs.join(","),
    )
}

fn good() -> String {
    let fields = format!("\"to\":\"0x{}\",\"status\":\"0x1\",\"effectiveGasPrice\":\"0xff\",", "08".repeat(20));
    let receipts = [receipt(0, &fields, &[log(0, 0, 0), log(0, 1, 4)]), receipt(1, "\"to\":null,", &[log(1, 2, 1)])];
    format!("{{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":[{}]}}", receipts.join(", "))
}

fn read(body: &str) -> Result<BlockReceipts, Unusual> {
    BlockReceipts::read(body.as_bytes(), &EXPECTED)
}

#[test]
fn receipts_and_logs_in_their_places() {
    let block = read(&good()).unwrap();
    let [first, second] = block.receipts() else { panic!("two receipts") };
    assert_eq!((first.sender, first.to), (Address::repeat_byte(7), Some(Address::repeat_byte(8))));
    assert_eq!((first.succeeded, first.gas_used), (true, 0x18));
    assert_eq!(first.effective_gas_price, B256::left_padding_from(&[0xff]));
    assert_eq!((second.to, second.succeeded, second.effective_gas_price), (None, false, B256::ZERO));
    let shown = |log: sluice_evm::traces::Log<'_>| (log.transaction, log.index, log.topics.to_vec(), log.data.to_vec());
    let all: Vec<_> = block.logs().map(shown).collect();
    let topic = [0x1f; 32];
    assert_eq!(
        all,
        [(0, 0, vec![], vec![]), (0, 1, vec![topic; 4], vec![0x5c]), (1, 2, vec![topic], vec![0x5c, 0x5c])]
    );
    assert!(block.logs().all(|log| *log.address == Address::repeat_byte(0xab)));
    assert_eq!(block.logs_of(0).map(shown).collect::<Vec<_>>(), all[..2]);
    assert_eq!(block.logs_of(1).map(shown).collect::<Vec<_>>(), all[2..]);
    assert_eq!(block.logs_of(2).count(), 0);
}

#[test]
fn receipts_of_another_block_are_unusual() {
    let good = good();
    let others = [
        Expected { block_hash: B256::ZERO, ..EXPECTED },
        Expected { gas_used: 0x31, ..EXPECTED },
        Expected { transactions: &TRANSACTIONS[..1], ..EXPECTED },
        Expected { transactions: &[TRANSACTIONS[0], TRANSACTIONS[1], HASH], ..EXPECTED },
        Expected { transactions: &[TRANSACTIONS[1], TRANSACTIONS[0]], ..EXPECTED },
    ];
    for other in others {
        assert_eq!(BlockReceipts::read(good.as_bytes(), &other).err(), Some(Unusual), "{other:?}");
    }
}

#[test]
fn what_is_missing_doubled_or_out_of_place_is_unusual() {
    let place = format!("\"blockHash\":\"{HASH:#x}\",");
    let changes = [
        (place.as_str(), ""),
        ("\"logIndex\":\"0x1\"", "\"logIndex\":\"0x2\""),
        ("\"logIndex\":\"0x1\"", "\"logIndex\":1"),
        ("\"logIndex\":\"0x1\"", "\"logIndex\":\"0x\""),
        ("\"logIndex\":\"0x1\"", "\"logIndex\":\"0x00000000000000001\""),
        ("\"logIndex\":\"0x1\",", ""),
        ("\"transactionIndex\":\"0x1\"", "\"transactionIndex\":\"0x0\""),
        ("\"gasUsed\":\"0x18\"", "\"gasUsed\":\"0x8000000000000000\""),
        ("\"gasUsed\":\"0x18\"", "\"gasUsed\":\"0x18\",\"gasUsed\":\"0x18\""),
        ("\"cumulativeGasUsed\":\"0x30\"", "\"cumulativeGasUsed\":\"0x18\""),
        ("\"status\":\"0x1\"", "\"status\":\"0x2\""),
        ("\"status\":\"0x1\"", "\"status\":true"),
        ("\"to\":null", "\"to\":\"\""),
        ("\"effectiveGasPrice\":\"0xff\"", "\"effectiveGasPrice\":\"0x\""),
        ("\"data\":\"0x5c\"", "\"data\":\"0x5\""),
        ("\"data\":\"0x5c\"", "\"data\":\"0x0x5c\""),
        ("\"data\":\"0x5c\"", "\"data\":\"0x5g\""),
        ("\"topics\":[]", "\"topics\":null"),
        ("\"topics\":[]", "\"topics\":[\"0x12\"]"),
        ("\"logsBloom\":\"0x00\"", "\"logsBloom\":\"\\u0030\""),
        ("\"logsBloom\":\"0x00\"", "\"logsBloom\":[]"),
        ("\"removed\":false", "\"removed\":falsch"),
        ("\"id\":0", "\"id\":0,\"error\":{}"),
    ];
    for (usual, odd) in changes {
        let body = good().replacen(usual, odd, 1);
        assert_ne!(body, good(), "{usual}");
        assert_eq!(read(&body).err(), Some(Unusual), "{odd}");
    }
    let five = good().replace(&log(0, 1, 4), &log(0, 1, 5));
    assert_eq!(read(&five).err(), Some(Unusual));
}

#[test]
fn no_change_of_a_byte_is_a_panic() {
    let good = good();
    for at in 0..good.len() {
        for by in [b'"', b'0', b'x', b'{', b']', b',', b'\\', 0xff] {
            let mut body = good.clone().into_bytes();
            body[at] = by;
            let _ = BlockReceipts::read(&body, &EXPECTED);
            let _ = BlockReceipts::read(&body[..at], &EXPECTED);
        }
    }
}
