//! The one place that reads the wall clock.

use std::time::SystemTime;

use mpac_wire::Timestamp;

/// Now, in the core's unit.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // 292,000 years fit; a clock before 1970 says 1970, which only an auditor would notice.
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
