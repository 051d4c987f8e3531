//! Transactions with their sender, and what each type must and must not carry.

use revm::context::TxEnv;
use revm::context_interface::either::Either;
use revm::context_interface::transaction::{
    AccessList, AccessListItem, Authorization as Unsigned, RecoveredAuthority, RecoveredAuthorization,
    SignedAuthorization,
};
use revm::primitives::{Address, B256, Bytes, TxKind, U256};

use crate::block::Block;
use crate::refusal::{Refusal, Refused};

/// One entry of a set-code transaction's list (EIP-7702).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The chain it holds on; 0 for all.
    pub chain_id: U256,
    /// The contract whose code the account takes on.
    pub address: Address,
    /// The account's nonce.
    pub nonce: u64,
    /// Who signed it.
    pub authority: Authority,
}

/// Who signed an authorization: as recovered before, or by a signature that the engine recovers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The account, recovered by the caller; none if the signature is invalid.
    Recovered(Option<Address>),
    /// The signature.
    Signed {
        /// 0 or 1 (anything else is an invalid signature, which the protocol skips over).
        y_parity: u8,
        /// The signature's r.
        r: U256,
        /// The signature's s.
        s: U256,
    },
}

/// A transaction. Fees in wei per gas; for types 0 and 1 both fees are the gas price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Who signed it.
    pub sender: Address,
    /// The recipient; none to create a contract.
    pub to: Option<Address>,
    /// The sender's nonce.
    pub nonce: u64,
    /// Wei sent along.
    pub value: U256,
    /// Calldata, or the creation code.
    pub data: Bytes,
    /// The most gas it may use.
    pub gas_limit: u64,
    /// The most it pays per gas.
    pub max_fee: u128,
    /// The most of it that goes to the block's builder.
    pub priority_fee: u128,
    /// 0 legacy, 1 EIP-2930, 2 EIP-1559, 3 EIP-4844, 4 EIP-7702.
    pub tx_type: u8,
    /// The chain it was signed for; none means the block's (and for type 0 that it says nothing).
    pub chain_id: Option<u64>,
    /// Addresses and slots declared beforehand.
    pub access_list: Vec<(Address, Vec<B256>)>,
    /// The blobs' versioned hashes.
    pub blob_hashes: Vec<B256>,
    /// The most it pays per blob gas.
    pub max_blob_fee: u128,
    /// The accounts that take on code.
    pub authorizations: Vec<Authorization>,
}

impl Transaction {
    /// What it pays per gas (EIP-1559). Meaningful where the fee covers the base fee.
    #[must_use]
    pub fn effective_gas_price(&self, base_fee: u64) -> u128 {
        if self.tx_type < 2 {
            return self.max_fee;
        }
        self.max_fee.min(u128::from(base_fee).saturating_add(self.priority_fee))
    }

    /// Refuses contradictions between the type and the fields. What depends on fork, block and state is revm's to check.
    pub(crate) fn check_form(&self) -> Result<(), Refused> {
        let has = |present: bool, what: &str| {
            if present { Err(self.malformed(&format!("carries {what}"))) } else { Ok(()) }
        };
        let lacks = |absent: bool, what: &str| {
            if absent { Err(self.malformed(&format!("lacks {what}"))) } else { Ok(()) }
        };
        match self.tx_type {
            0..=2 => {
                has(!self.blob_hashes.is_empty() || self.max_blob_fee != 0, "blob fields")?;
                has(!self.authorizations.is_empty(), "authorizations")?;
            }
            3 => {
                lacks(self.blob_hashes.is_empty(), "blob hashes")?;
                lacks(self.to.is_none(), "a recipient")?;
                has(!self.authorizations.is_empty(), "authorizations")?;
            }
            4 => {
                lacks(self.authorizations.is_empty(), "authorizations")?;
                lacks(self.to.is_none(), "a recipient")?;
                has(!self.blob_hashes.is_empty() || self.max_blob_fee != 0, "blob fields")?;
            }
            _ => {
                return Err(Refused::new(
                    Refusal::UnsupportedTransaction,
                    format!("transaction type {}", self.tx_type),
                ));
            }
        }
        if self.tx_type == 0 {
            has(!self.access_list.is_empty(), "an access list")?;
        }
        if self.tx_type < 2 && self.max_fee != self.priority_fee {
            return Err(self.malformed("has one gas price, but two different fees are given"));
        }
        Ok(())
    }

    fn malformed(&self, problem: &str) -> Refused {
        Refused::new(Refusal::UnsupportedTransaction, format!("a transaction of type {} {problem}", self.tx_type))
    }

    pub(crate) fn env(&self, block: &Block) -> TxEnv {
        let access_list = AccessList(
            self.access_list
                .iter()
                .map(|(address, keys)| AccessListItem { address: *address, storage_keys: keys.clone() })
                .collect(),
        );
        TxEnv {
            tx_type: self.tx_type,
            caller: self.sender,
            gas_limit: self.gas_limit,
            gas_price: self.max_fee,
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            data: self.data.clone(),
            nonce: self.nonce,
            chain_id: if self.tx_type == 0 { self.chain_id } else { self.chain_id.or(Some(block.chain_id)) },
            access_list,
            gas_priority_fee: (self.tx_type >= 2).then_some(self.priority_fee),
            blob_hashes: self.blob_hashes.clone(),
            max_fee_per_blob_gas: self.max_blob_fee,
            authorization_list: self.authorizations.iter().map(Authorization::signed).collect(),
        }
    }
}

impl Authorization {
    fn signed(&self) -> Either<SignedAuthorization, RecoveredAuthorization> {
        let unsigned = Unsigned { chain_id: self.chain_id, address: self.address, nonce: self.nonce };
        match self.authority {
            Authority::Recovered(signer) => Either::Right(RecoveredAuthorization::new_unchecked(
                unsigned,
                signer.map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid),
            )),
            Authority::Signed { y_parity, r, s } => {
                Either::Left(SignedAuthorization::new_unchecked(unsigned, y_parity, r, s))
            }
        }
    }
}
