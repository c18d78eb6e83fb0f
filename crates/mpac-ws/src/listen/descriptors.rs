//! How many connections there may be beside everything else that is an open file.
//!
//! Many systems give a process 1,024 at first and let it ask for more. A server that has none left can take no connection, which
//! is soon over, but it cannot begin the next part of a log either, and a session whose log cannot be written has to end.

use tracing::warn;

/// Of so many open files one may be a connection: the others are for logs, snapshots, copies for standbys.
const FOR_CONNECTIONS: u64 = 2;

/// Asks the system for as many open files as it allows; gives how many connections of `wanted` there may be then, and says
/// so where it is fewer.
pub(crate) fn connections(wanted: u32) -> u32 {
    let Some(open_files) = raised() else { return wanted };
    let most = among(open_files, wanted);
    if most < wanted {
        warn!(
            "the system allows {open_files} open files, so at most {most} connections are taken; --max-connections {wanted} \
             needs {} (ulimit -n, or LimitNOFILE)",
            u64::from(wanted) * FOR_CONNECTIONS
        );
    }
    most
}

fn among(open_files: u64, wanted: u32) -> u32 {
    u32::try_from(open_files / FOR_CONNECTIONS).unwrap_or(u32::MAX).clamp(1, wanted.max(1))
}

/// What the system allows now; `None` where it does not say, or there is no limit.
#[cfg(unix)]
fn raised() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        // Some systems allow less than they say.
        Err(_) => current,
    }
}

#[cfg(not(unix))]
const fn raised() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_open_files_are_no_connections() {
        assert_eq!(among(1 << 20, 10_000), 10_000);
        assert_eq!(among(1024, 10_000), 512);
        assert_eq!([among(1, 10_000), among(0, 1)], [1, 1]);
        assert_eq!(among(u64::MAX, u32::MAX), u32::MAX);
    }
}
