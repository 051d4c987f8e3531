//! Executes EVM transactions on a witness: the state is given, and what was not given is an error that names it.
//!
//! The crate is a thin, strict shell around revm. It adds what a caller who stakes money on the answer needs:
//! a packed form of state with a bounded parser ([`Witness`]), a database that never answers "zero" for "unknown",
//! budgets for gas, memory and time, and a guard that turns a panic into the refusal of one candidate.
//!
//! Beside that it reads what nodes tell of executions ([`traces`]): from their bytes into the packed form in one go.
//! It reads signed transactions ([`Signed`], [`signed_bytes`]) that are plainly in their one form, too.
//!
//! With the feature `python` it is also the extension module behind the Python package `sluice_evm`.

mod block;
mod budget;
mod codes;
mod database;
mod error;
mod execute;
mod fork;
mod machine;
#[cfg(feature = "python")]
mod python;
mod reader;
mod refusal;
mod signed;
mod signed_json;
mod system_calls;
pub mod traces;
mod transaction;
mod verdict;
mod witness;

pub use block::{Block, SystemCalls};
pub use budget::Budget;
pub use codes::CodeStore;
pub use database::UnknownAccounts;
pub use error::{InputError, InputKind};
pub use execute::{Case, Execution, execute, execute_cases, execute_each};
pub use fork::{FORK_NAMES, Fork};
pub use refusal::Refusal;
pub use signed::{AccessEntry, Signed};
pub use signed_json::signed_bytes;
pub use transaction::{Authority, Authorization, Transaction};
pub use verdict::{AccountChange, Kind, SlotChange, Verdict};
pub use witness::{Account, Layer, LayerBuilder, Witness};

/// The release of revm behind every verdict.
pub const REVM_VERSION: &str = "43.0.3";
