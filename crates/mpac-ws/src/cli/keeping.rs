//! Options for what is kept, where, and for how long.

use std::path::PathBuf;

use clap::Args;

/// What becomes of logs, beside being written.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Keeping {
    /// Days that a log is kept: closed sessions are deleted when they are over for so long, older parts of others too. 0
    /// keeps a log only while its session lives [default: 90; `lifecycle` in --session-config wins]
    #[arg(long, value_name = "DAYS", help_heading = "Storage")]
    pub audit_retention_days: Option<u32>,
    /// Directory that logs are copied to before anything of them is deleted
    #[arg(long, value_name = "DIR", help_heading = "Storage")]
    pub archive_dir: Option<PathBuf>,
    /// Bytes on the disk that are set aside, so that a full disk does not stop the server in the middle of a word
    #[arg(long, value_name = "BYTES", default_value_t = 4_194_304, help_heading = "Storage")]
    pub reserve_bytes: u64,
    /// For tests: bytes of a full segment of a log
    #[arg(long, value_name = "BYTES", hide = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub segment_bytes: Option<u64>,
    /// For tests: seconds that count as a day of --audit-retention-days
    #[arg(long, value_name = "SEC", hide = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub day_sec: Option<u64>,
}
