//! The agent's judgement without IO: what a brain's answer and the messages seen amount to.

mod commit;
mod merge;
mod plan;
mod stepback;

pub(crate) use commit::operations_of;
pub use commit::{CommitVerdict, Heard, Refusal, judge_batch, judge_commit};
pub use merge::{Merged, merge};
pub use mpac_core::participant::{Holder, holders};
pub(crate) use plan::is_metadata;
pub use plan::{PlanFault, check_plan};
pub use stepback::{End, Sign, StepBack, Verdict};
