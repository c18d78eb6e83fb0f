//! How much one principal may keep open at one time (SEC-37).

/// Things that are not over, of one principal. More are refused, whoever it is; what is there stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenLimits {
    /// Live intents, and claims that would become some: 1,000.
    pub intents: usize,
    /// Operations that wait, proposed or frozen: 5,000.
    pub operations: usize,
    /// Conflicts that it reported, or that its own messages led to: 1,000. One message may lead to several, so that a
    /// few more than that can be open.
    pub conflicts: usize,
    /// Messages within two replay windows, outside the open profile: 100,000. Their ids are remembered that long, and this
    /// bounds how many those are; never more than twice as many of one principal (D-124).
    pub recent_messages: usize,
}

/// How large the shared files may become by commits (SEC-37).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkspaceLimits {
    /// Bytes of all of them together: 268,435,456. A commit that leaves less than there was is accepted all the same.
    pub max_bytes: u64,
    /// How many there may be: 100,000.
    pub max_files: usize,
}

impl Default for WorkspaceLimits {
    fn default() -> Self {
        Self { max_bytes: 256 * 1024 * 1024, max_files: 100_000 }
    }
}

impl Default for OpenLimits {
    fn default() -> Self {
        Self { intents: 1_000, operations: 5_000, conflicts: 1_000, recent_messages: 100_000 }
    }
}
