//! What one candidate may cost.

use std::time::Duration;

/// Limits for each transaction by itself. One that reaches a limit is refused, with the limit's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The largest gas limit that is accepted at all.
    pub gas: u64,
    /// Bytes of EVM memory over all frames.
    pub memory: u64,
    /// Wall time. Off by default: the gas limit bounds the work, and the clock makes results depend on the machine.
    pub time: Option<Duration>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { gas: u64::MAX, memory: 256 << 20, time: None }
    }
}

impl Budget {
    /// Whether a transaction with this gas limit could pay for more memory than the budget.
    ///
    /// Memory of `w` words costs `w²/512 + 3w` gas. Spread over the most frames there can be (1,025), gas `g` buys
    /// less than `sqrt(512 · 1025 · g)` words. Below that, reaching the limit means that the gas was short as well.
    pub(crate) fn memory_binds(&self, gas_limit: u64) -> bool {
        let words = u128::from(self.memory / 32);
        u128::from(gas_limit) * 512 * 1025 > words * words
    }
}
