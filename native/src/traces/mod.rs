//! What nodes tell of executions: the answers of geth's `prestateTracer`, and a block's receipts, read from the bytes of a
//! JSON-RPC body.
//!
//! A quick way for what is plainly well formed, and no judge: whatever is in any way odd (an error, a missing or doubled
//! field, an escape, a number out of range, an account named twice) is [`Unusual`], and nothing else is said about it. The
//! caller reads those bytes again with a reader that knows what to make of them. So less is taken here than JSON allows, and
//! what is taken means the same to both.

mod answers;
mod codes;
mod diffs;
mod hex;
mod json;
mod prestate;
mod receipts;

pub use answers::{Batch, prestate, prestates};
pub use codes::{Code, KnownCodes};
pub use diffs::{Balances, BlockDiffs, Change, Touched};
pub use prestate::{Prestate, TouchedAccount};
pub use receipts::{BlockReceipts, Expected, Log, Receipt};

/// Something is not plainly as usual. What it is, and whether it is wrong, is for another reader to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusual;

type Usual<T> = Result<T, Unusual>;

/// Takes a field that may be there once.
fn once<T>(field: &mut Option<T>, value: T) -> Usual<()> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Unusual),
    }
}
