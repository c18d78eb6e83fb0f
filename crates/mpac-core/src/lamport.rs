//! The Lamport clock: one rule to send, one to receive.

use mpac_wire::Watermark;

/// A counter that knows the order of messages (LAM-06).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LamportClock(u64);

impl LamportClock {
    /// One that has come to `value`, after a restart.
    pub const fn at(value: u64) -> Self {
        Self(value)
    }

    /// Where it stands.
    pub const fn value(&self) -> u64 {
        self.0
    }

    /// Before sending: counts one up and gives the watermark to send (LAM-07).
    pub fn tick(&mut self) -> Watermark {
        self.0 += 1;
        Watermark::lamport(self.0)
    }

    /// On receipt: one above both (LAM-08). A message without a Lamport value only ticks (D-028).
    pub fn receive(&mut self, value: Option<u64>) {
        self.0 = self.0.max(value.unwrap_or(0)) + 1;
    }
}
