//! The limits of a server, by the options that set them.

/// A limit, wherever it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Connections,
    ConnectionsPerAddress,
    CredentialAttempts,
    Handshake,
    Hello,
    RefusedHellos,
    Stranger,
    MalformedFrames,
    Idle,
    Silence,
    Rate,
    PrincipalRate,
    Frame,
    Queue,
    Queues,
    Sessions,
    Unopened,
    UnopenedSessions,
    WorkspaceBytes,
    WorkspaceFiles,
    /// One that the core keeps, named as in `extensions.mpac.limit`.
    Core(&'static str),
}

impl Limit {
    /// Every one, so that its counter is there before it is first reached.
    pub(super) const ALL: [Self; 33] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::CredentialAttempts,
        Self::Handshake,
        Self::Hello,
        Self::RefusedHellos,
        Self::Stranger,
        Self::MalformedFrames,
        Self::Idle,
        Self::Silence,
        Self::Rate,
        Self::PrincipalRate,
        Self::Frame,
        Self::Queue,
        Self::Queues,
        Self::Sessions,
        Self::Unopened,
        Self::UnopenedSessions,
        Self::WorkspaceBytes,
        Self::WorkspaceFiles,
        Self::Core("max_open_intents_each"),
        Self::Core("max_open_operations_each"),
        Self::Core("max_open_conflicts_each"),
        Self::Core("max_recent_messages_each"),
        Self::Core("max_deferrals"),
        Self::Core("max_deferrals_each"),
        Self::Core("max_bytes"),
        Self::Core("max_depth"),
        Self::Core("max_entries"),
        Self::Core("max_entry_bytes"),
        Self::Core("max_batch"),
        Self::Core("max_observed"),
        Self::Core("max_declared"),
    ];

    /// The option's name where there is one.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connections => "max_connections",
            Self::ConnectionsPerAddress => "max_connections_per_address",
            Self::CredentialAttempts => "credential_attempts",
            Self::Handshake => "handshake_within_sec",
            Self::Hello => "hello_within_sec",
            Self::RefusedHellos => "refused_hellos",
            Self::Stranger => "unproven_frames",
            Self::MalformedFrames => "malformed_frames",
            Self::Idle => "idle_after_sec",
            Self::Silence => "pings",
            Self::Rate => "rate_per_sec",
            Self::PrincipalRate => "principal_rate_per_sec",
            Self::Frame => "max_frame_bytes",
            Self::Queue => "queue_frames",
            Self::Queues => "max_queued_bytes",
            Self::Sessions => "max_sessions",
            Self::Unopened => "unopened_bytes",
            Self::UnopenedSessions => "unopened_sessions",
            Self::WorkspaceBytes => "max_workspace_bytes",
            Self::WorkspaceFiles => "max_workspace_files",
            Self::Core(name) => name,
        }
    }
}
