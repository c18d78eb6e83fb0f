//! Time and memory of this process.

use std::time::Duration;

use nix::time::ClockId;

use crate::Failure;

/// Time that this thread had a processor: what else the machine does is not counted.
///
/// # Errors
/// The system has no such clock.
pub(crate) fn cpu() -> Result<Duration, Failure> {
    let now = ClockId::CLOCK_THREAD_CPUTIME_ID.now();
    now.map(Duration::from).map_err(|error| Failure::Clock(error.into()))
}

/// Resident memory in KiB; 0 where the system does not tell.
pub(crate) fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or_default()
}
