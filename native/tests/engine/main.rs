//! The crate from outside. One binary, because linking takes longer than all tests together.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test that fails may panic

mod budgets;
mod common;
mod fuzz;
mod missing_state;
mod packed_form;
mod receipts;
mod signed;
mod system_calls;
mod transactions;
