//! The receipts of a block, each held to its place in it.

use std::ops::Range;

use revm::primitives::{Address, B256};

use super::answers::answer;
use super::json::Cursor;
use super::{Unusual, Usual, hex, once};

/// What a log can have (LOG0 to LOG4).
const TOPICS: usize = 4;

/// What a block's header says of its receipts.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The block's hash.
    pub block_hash: B256,
    /// The gas of all its transactions.
    pub gas_used: u64,
    /// The hashes of its transactions, in order.
    pub transactions: &'a [B256],
}

/// A transaction's receipt.
#[derive(Debug)]
pub struct Receipt {
    /// Who sent it.
    pub sender: Address,
    /// Whom it called; none for a creation.
    pub to: Option<Address>,
    /// Whether it succeeded; false where the node does not say (before Byzantium).
    pub succeeded: bool,
    /// The gas it used, below 2^63.
    pub gas_used: u64,
    /// Wei per gas, big-endian; zero where the node does not say.
    pub effective_gas_price: B256,
    logs: Range<usize>,
}

/// A log in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log<'a> {
    /// Who emitted it.
    pub address: &'a Address,
    /// At most four words.
    pub topics: &'a [[u8; 32]],
    /// What else it says.
    pub data: &'a [u8],
    /// The place of its transaction in the block.
    pub transaction: usize,
    /// Its place in the block.
    pub index: usize,
}

/// The receipts of a whole block.
#[derive(Debug, Default)]
pub struct BlockReceipts {
    receipts: Vec<Receipt>,
    logs: Vec<Placed>,
    /// The topics and data of all logs, one behind the other.
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Placed {
    address: Address,
    transaction: usize,
    topics: Range<usize>,
    data: Range<usize>,
}

impl BlockReceipts {
    /// Reads the answer to `eth_getBlockReceipts`, which must be of just this block.
    pub fn read(body: &[u8], expected: &Expected<'_>) -> Usual<Self> {
        let mut cursor = Cursor::new(body);
        let block_hash = format!("{:#x}", expected.block_hash);
        let (_, block) = answer(&mut cursor, |cursor| {
            let mut reader =
                Reader { block: Self::default(), expected, block_hash: block_hash.as_bytes(), gas_used: 0 };
            cursor.array(|cursor| reader.read_receipt(cursor))?;
            only(reader.block.receipts.len() == expected.transactions.len())?;
            only(reader.gas_used == expected.gas_used)?;
            Ok(reader.block)
        })?;
        cursor.finish().map(|()| block)
    }

    /// In the block's order.
    #[must_use]
    pub fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    /// All logs, in the block's order.
    pub fn logs(&self) -> impl Iterator<Item = Log<'_>> {
        self.logs_at(0..self.logs.len())
    }

    /// The logs of one transaction, in order; none where the block has no such transaction.
    pub fn logs_of(&self, transaction: usize) -> impl Iterator<Item = Log<'_>> {
        self.logs_at(self.receipts.get(transaction).map_or(0..0, |receipt| receipt.logs.clone()))
    }

    fn logs_at(&self, places: Range<usize>) -> impl Iterator<Item = Log<'_>> {
        let placed = self.logs.get(places.clone()).unwrap_or_default();
        places.zip(placed).map(|(index, log)| Log {
            address: &log.address,
            topics: self.bytes.get(log.topics.clone()).unwrap_or_default().as_chunks().0,
            data: self.bytes.get(log.data.clone()).unwrap_or_default(),
            transaction: log.transaction,
            index,
        })
    }
}

struct Reader<'a> {
    block: BlockReceipts,
    expected: &'a Expected<'a>,
    /// As nodes write it.
    block_hash: &'a [u8],
    /// Of all transactions up to the one read last.
    gas_used: u64,
}

impl Reader<'_> {
    fn read_receipt(&mut self, cursor: &mut Cursor<'_>) -> Usual<()> {
        let (index, first_log) = (self.block.receipts.len(), self.block.logs.len());
        let expected = self.expected.transactions.get(index).ok_or(Unusual)?;
        let (mut hash, mut place, mut block, mut logs) = (None, None, None, None);
        let (mut sender, mut to, mut status, mut gas, mut total, mut price) = (None, None, None, None, None, None);
        cursor.object(|cursor, key| match key {
            b"transactionHash" => once(&mut hash, only(hex::hash(cursor.unchecked_text()?)? == *expected)?),
            b"transactionIndex" => once(&mut place, read_place(cursor, index)?),
            b"blockHash" => once(&mut block, self.read_block_hash(cursor)?),
            b"logs" => once(&mut logs, cursor.array(|cursor| self.read_log(cursor, index))?),
            b"from" => once(&mut sender, hex::address(cursor.unchecked_text()?)?),
            b"to" if cursor.found_null() => once(&mut to, None),
            b"to" => once(&mut to, Some(hex::address(cursor.unchecked_text()?)?)),
            b"status" if cursor.found_null() => once(&mut status, false),
            b"status" => once(&mut status, read_status(cursor)?),
            b"gasUsed" => once(&mut gas, hex::long(cursor.unchecked_text()?)?),
            b"cumulativeGasUsed" => once(&mut total, hex::long(cursor.unchecked_text()?)?),
            b"effectiveGasPrice" if cursor.found_null() => once(&mut price, B256::ZERO),
            b"effectiveGasPrice" => once(&mut price, hex::quantity(cursor.unchecked_text()?)?),
            // The bloom filter of its logs, among others.
            _ => cursor.skip(),
        })?;
        hash.and(place).and(block).and(logs).ok_or(Unusual)?;
        self.gas_used = total.ok_or(Unusual)?;
        self.block.receipts.push(Receipt {
            sender: sender.ok_or(Unusual)?,
            to: to.flatten(),
            succeeded: status.unwrap_or_default(),
            gas_used: gas.ok_or(Unusual)?,
            effective_gas_price: price.unwrap_or_default(),
            logs: first_log..self.block.logs.len(),
        });
        Ok(())
    }

    fn read_log(&mut self, cursor: &mut Cursor<'_>, transaction: usize) -> Usual<()> {
        let index = self.block.logs.len();
        let (mut address, mut topics, mut data) = (None, None, None);
        let (mut block, mut receipt, mut place) = (None, None, None);
        cursor.object(|cursor, key| match key {
            b"address" => once(&mut address, hex::address(cursor.unchecked_text()?)?),
            b"topics" => once(&mut topics, self.read_topics(cursor)?),
            b"data" => once(&mut data, self.read_bytes(cursor)?),
            b"blockHash" => once(&mut block, self.read_block_hash(cursor)?),
            b"transactionIndex" => once(&mut receipt, read_place(cursor, transaction)?),
            b"logIndex" => once(&mut place, read_place(cursor, index)?),
            _ => cursor.skip(),
        })?;
        block.and(receipt).and(place).ok_or(Unusual)?;
        self.block.logs.push(Placed {
            address: address.ok_or(Unusual)?,
            transaction,
            topics: topics.ok_or(Unusual)?,
            data: data.ok_or(Unusual)?,
        });
        Ok(())
    }

    fn read_topics(&mut self, cursor: &mut Cursor<'_>) -> Usual<Range<usize>> {
        let (start, mut count) = (self.block.bytes.len(), 0);
        cursor.array(|cursor| {
            count += 1;
            only(count <= TOPICS)?;
            self.block.bytes.extend_from_slice(hex::hash(cursor.unchecked_text()?)?.as_slice());
            Ok(())
        })?;
        Ok(start..self.block.bytes.len())
    }

    fn read_bytes(&mut self, cursor: &mut Cursor<'_>) -> Usual<Range<usize>> {
        let start = self.block.bytes.len();
        hex::append(cursor.unchecked_text()?, &mut self.block.bytes)?;
        Ok(start..self.block.bytes.len())
    }

    fn read_block_hash(&self, cursor: &mut Cursor<'_>) -> Usual<()> {
        if cursor.found_text(self.block_hash) {
            return Ok(());
        }
        only(hex::hash(cursor.unchecked_text()?)? == self.expected.block_hash)
    }
}

fn read_place(cursor: &mut Cursor<'_>, expected: usize) -> Usual<()> {
    only(usize::try_from(hex::long(cursor.unchecked_text()?)?) == Ok(expected))
}

fn read_status(cursor: &mut Cursor<'_>) -> Usual<bool> {
    match cursor.unchecked_text()? {
        b"0x1" => Ok(true),
        b"0x0" => Ok(false),
        _ => Err(Unusual),
    }
}

fn only(as_expected: bool) -> Usual<()> {
    if as_expected { Ok(()) } else { Err(Unusual) }
}
