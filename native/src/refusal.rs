//! Why there is no answer.

use std::fmt;

use revm::context::result::InvalidTransaction;

/// The reasons. Their names are part of the interface; callers match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An account that is not in the witness was read.
    MissingAccount,
    /// A slot that is not in the witness was read.
    MissingSlot,
    /// A code that nobody supplied was needed.
    MissingCode,
    /// BLOCKHASH asked for a block whose hash was not given.
    MissingBlockHash,
    /// A contract would be created where storage lies already: there is no such account on any chain, and EIP-7610 has
    /// a rule of its own for it.
    ImpossibleAccount,
    /// A transaction type that the fork does not have, or whose fields contradict it.
    UnsupportedTransaction,
    /// The sender's nonce is beyond the transaction's.
    NonceTooLow,
    /// The sender's nonce has not reached the transaction's.
    NonceTooHigh,
    /// The sender is a contract (EIP-3607).
    SenderHasCode,
    /// The fee does not cover the base fee.
    FeeBelowBase,
    /// The priority fee is above the fee.
    PriorityAboveMax,
    /// The blob fee does not cover the block's.
    BlobFeeTooLow,
    /// The sender cannot pay value and fees.
    InsufficientFunds,
    /// The gas limit does not cover the transaction itself (or its calldata floor, EIP-7623).
    IntrinsicGas,
    /// The creation code is too large (EIP-3860).
    InitcodeTooLarge,
    /// The gas limit is above the block's.
    GasAboveBlockLimit,
    /// The gas limit is above what the protocol allows one transaction (EIP-7825).
    GasAboveCap,
    /// An amount outside its range.
    OutOfRange,
    /// The transaction is for another chain.
    WrongChain,
    /// A transaction before this one was refused: the state is unknown.
    PrecedingRefused,
    /// The gas limit is above the budget.
    GasBudget,
    /// The EVM's memory reached the budget.
    MemoryBudget,
    /// The time is up.
    TimeBudget,
    /// A call that the protocol makes before the block's first transaction could not be made.
    SystemCall,
    /// The engine failed; says nothing about the transaction.
    EngineFailure,
}

impl Refusal {
    /// The name for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingAccount => "missing_account",
            Self::MissingSlot => "missing_slot",
            Self::MissingCode => "missing_code",
            Self::MissingBlockHash => "missing_block_hash",
            Self::ImpossibleAccount => "impossible_account",
            Self::UnsupportedTransaction => "unsupported_transaction",
            Self::NonceTooLow => "nonce_too_low",
            Self::NonceTooHigh => "nonce_too_high",
            Self::SenderHasCode => "sender_has_code",
            Self::FeeBelowBase => "fee_below_base",
            Self::PriorityAboveMax => "priority_above_max",
            Self::BlobFeeTooLow => "blob_fee_too_low",
            Self::InsufficientFunds => "insufficient_funds",
            Self::IntrinsicGas => "intrinsic_gas",
            Self::InitcodeTooLarge => "initcode_too_large",
            Self::GasAboveBlockLimit => "gas_above_block_limit",
            Self::GasAboveCap => "gas_above_cap",
            Self::OutOfRange => "out_of_range",
            Self::WrongChain => "wrong_chain",
            Self::PrecedingRefused => "preceding_refused",
            Self::GasBudget => "gas_budget",
            Self::MemoryBudget => "memory_budget",
            Self::TimeBudget => "time_budget",
            Self::SystemCall => "system_call",
            Self::EngineFailure => "engine_failure",
        }
    }

    pub(crate) const fn of_invalid(invalid: &InvalidTransaction) -> Self {
        use InvalidTransaction as Invalid;
        match invalid {
            Invalid::NonceTooHigh { .. } => Self::NonceTooHigh,
            Invalid::NonceTooLow { .. } => Self::NonceTooLow,
            Invalid::RejectCallerWithCode => Self::SenderHasCode,
            Invalid::GasPriceLessThanBasefee => Self::FeeBelowBase,
            Invalid::PriorityFeeGreaterThanMaxFee => Self::PriorityAboveMax,
            Invalid::BlobGasPriceGreaterThanMax { .. } => Self::BlobFeeTooLow,
            Invalid::LackOfFundForMaxFee { .. } => Self::InsufficientFunds,
            Invalid::CallGasCostMoreThanGasLimit { .. } | Invalid::GasFloorMoreThanGasLimit { .. } => {
                Self::IntrinsicGas
            }
            Invalid::CreateInitCodeSizeLimit => Self::InitcodeTooLarge,
            Invalid::CallerGasLimitMoreThanBlock => Self::GasAboveBlockLimit,
            Invalid::TxGasLimitGreaterThanCap { .. } => Self::GasAboveCap,
            Invalid::OverflowPaymentInTransaction | Invalid::NonceOverflowInTransaction => Self::OutOfRange,
            Invalid::InvalidChainId | Invalid::MissingChainId => Self::WrongChain,
            _ => Self::UnsupportedTransaction,
        }
    }
}

/// A refusal with its detail: what the parts of the engine hand to each other before there is a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: Refusal,
    pub(crate) detail: String,
}

impl Refused {
    pub(crate) fn new(reason: Refusal, detail: impl fmt::Display) -> Self {
        Self { reason, detail: detail.to_string() }
    }
}
