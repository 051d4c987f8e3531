//! Input that is not what it claims to be. (What is well formed but cannot be executed is a refusal, not an error.)

use std::fmt;

/// Which kind of input is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A packed witness, an account, a code.
    Witness,
    /// The block environment.
    Block,
    /// A transaction.
    Transaction,
    /// The name of a fork.
    Fork,
}

/// An error with its cause in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// What was at fault.
    pub kind: InputKind,
    /// What is wrong with it, and where.
    pub message: String,
}

impl InputError {
    pub(crate) fn witness(message: impl Into<String>) -> Self {
        Self { kind: InputKind::Witness, message: message.into() }
    }

    pub(crate) fn block(message: impl Into<String>) -> Self {
        Self { kind: InputKind::Block, message: message.into() }
    }

    pub(crate) fn fork(message: impl Into<String>) -> Self {
        Self { kind: InputKind::Fork, message: message.into() }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for InputError {}
