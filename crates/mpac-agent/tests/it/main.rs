//! The agent against a coordinator's socket and a Messages API that the tests speak for themselves, on loopback.

#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod agent;
mod answers;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod at_work;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod bad_answers;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod breaks;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod broken_off;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod claude;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod command;
mod conflicts;
mod deciding;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod expiry;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod fake_api;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod fake_coordinator;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod frozen;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod hands;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod health;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod interactive;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod overtaken;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod process;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod program;
mod recorded;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod returning;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod sealed_host;
mod session;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod several;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod signed;
mod silence;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod small_coordinator;
mod task;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod tls;
#[expect(clippy::unwrap_used, reason = "a helper of tests stops the test")]
mod unanswered;

/// Names the requirements and decisions a test shows; `cargo xtask requirements` reads it.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {
        let _: &[&str] = &[$($id),+];
    };
}
pub(crate) use covers;
