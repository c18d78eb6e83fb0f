//! Options about what participants may cost, and where an operator sees what they do.

use std::net::SocketAddr;

use clap::Args;

/// Limits beyond those of one connection, and metrics.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
#[non_exhaustive]
pub struct Guards {
    /// Files that commits may leave in a workspace; how many bytes is --max-workspace-bytes
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_workspace_files: u32,
    /// Bytes that may wait for slow connections, for all of them together: above it each that more than 1 MiB waits for is closed
    /// when it gets another frame
    #[arg(long, value_name = "BYTES", default_value_t = 1_073_741_824, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_queued_bytes: u64,
    /// Messages a second that one principal may send in the long run, on all its connections and in all sessions together.
    /// Not in open sessions, where a name proves nothing
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    pub principal_rate_per_sec: u32,
    /// Messages that one principal may send at once
    #[arg(long, value_name = "N", default_value_t = 800, value_parser = clap::value_parser!(u32).range(1..))]
    pub principal_rate_burst: u32,
    /// Refused credentials from one address before it has to wait: a second, then twice as long with each, up to five
    /// minutes. Ten minutes without one start anew
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub credential_attempts: u32,
    /// Seconds after which a connection that sends nothing is closed; 0 never does. Participants send heartbeats
    #[arg(long, value_name = "SEC", default_value_t = 3_600)]
    pub idle_after_sec: u32,
    /// Serve metrics for Prometheus at /metrics of this address, as in 127.0.0.1:9766, and /healthz beside it [default:
    /// nowhere]. Nothing there is secret, and nobody is asked who they are
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Server")]
    pub metrics_listen: Option<SocketAddr>,
}
