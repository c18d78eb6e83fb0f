//! Where the coordinator may be, and how long it is looked for.

use std::sync::Arc;
use std::time::Duration;

use mpac_wire::Seconds;
use rustls::sign::CertifiedKey;

use super::dial::Target;
use super::rhythm::LONGEST;
use crate::naming::draw;

/// The first attempt after a break comes within this time: most breaks are short.
const QUICK: Duration = Duration::from_millis(200);

/// The addresses of a coordinator, and the patience with it.
#[derive(Debug, Clone)]
pub struct Route {
    /// Tried in this order at every attempt; never empty.
    pub(super) targets: Vec<Target>,
    /// How long to try after a break; zero for not at all, and at most [`LONGEST`].
    pub(super) patience: Duration,
}

impl Route {
    /// One address, and the end of its connection is the end.
    #[must_use]
    pub fn once(target: Target) -> Self {
        Self { targets: vec![target], patience: Duration::ZERO }
    }

    /// All addresses, in the order in which they are tried.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter()
    }

    /// Shows this certificate to servers that ask for one.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Option<&Arc<CertifiedKey>>) -> Self {
        for target in &mut self.targets {
            *target = target.clone().with_certificate(certificate.cloned());
        }
        self
    }

    /// The coordinator may listen at these as well: a standby, for instance.
    #[must_use]
    pub fn or(mut self, others: Vec<Target>) -> Self {
        self.targets.extend(others);
        self
    }

    /// After a break connect again, for so long, a year at most; zero: never.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience.min(LONGEST);
        self
    }
}

/// How long to wait before an attempt. `failed`: attempts since the break; `delay`: what the core says (REC-06). A
/// quarter more or less, so that all who lost the same coordinator do not come back in the same moment.
pub(super) fn wait(failed: u32, delay: &Seconds) -> Duration {
    spread(failed, delay, draw())
}

fn spread(failed: u32, delay: &Seconds, drawn: u64) -> Duration {
    let share = |of: Duration, permille: u64| of * u32::try_from(permille).unwrap_or(u32::MAX) / 1_000;
    if failed == 0 {
        return share(QUICK, 250 + drawn % 751);
    }
    let delay = Duration::from_micros(u64::try_from(delay.micros()).unwrap_or_default());
    share(delay, 750 + drawn % 501)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_is_quick_and_later_ones_are_spread_around_the_delay() {
        let eight = Seconds::whole(8);
        for drawn in [0, 1, 250, 500, 750, 1_000, u64::MAX] {
            let first = spread(0, &eight, drawn);
            assert!(first >= QUICK / 4 && first <= QUICK, "{first:?}");
            let later = spread(3, &eight, drawn);
            assert!(later >= Duration::from_secs(6) && later <= Duration::from_secs(10), "{later:?}");
        }
        assert_ne!(spread(3, &eight, 1), spread(3, &eight, 2));
    }
}
