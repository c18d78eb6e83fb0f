//! When two scopes are in each other's way, and the index that finds them.

pub mod containment;
pub mod dependency;
pub mod glob;
mod holders;
pub mod index;
mod listed;
pub(crate) mod meaning;
pub mod names;
pub mod normalize;
mod outline;
pub mod overlap;
mod symbols;

pub use containment::is_inside;
pub use index::ScopeIndex;
pub use names::Names;
pub(crate) use normalize::normalized;
pub use normalize::{is_safe, normalize, same_path};
pub(crate) use outline::is_opaque;
pub use overlap::{Overlap, contains_target, overlap};
