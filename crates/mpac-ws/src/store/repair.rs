//! What can be done about a damaged log, and doing it.
//!
//! Nothing is ever deleted or changed in place: the repaired session is built beside the damaged one, then takes its name.

mod lost;
mod patched;
mod rebuild;
mod survey;
#[cfg(test)]
mod tests;

pub(crate) use self::rebuild::rebuild;
pub(super) use self::rebuild::{REPAIRED, finish};
pub use self::survey::Way;
pub(crate) use self::survey::{Plan, Survey, survey};
