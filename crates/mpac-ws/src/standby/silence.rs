//! How long nothing was heard from a server, and whether that is long enough (REC-22).

use std::time::Duration;

use mpac_wire::Seconds;
use tokio::time::{Instant, sleep};

/// The clock is asked this often.
const TICK: Duration = Duration::from_millis(100);
/// One look at it counts for this much at the most: whoever was stopped meanwhile has not listened.
const MOST: Duration = Duration::from_millis(500);

/// Silence in a row, as far as we were there to hear it.
#[derive(Debug)]
pub(super) struct Silence {
    limit: Option<Duration>,
    so_far: Duration,
    looked: Instant,
    /// Whether the copy was complete at least once: only then there is something to go on with.
    counts: bool,
}

impl Silence {
    /// Without a limit it is never over.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { limit, so_far: Duration::ZERO, looked: Instant::now(), counts: false }
    }

    /// Something was heard.
    pub(super) fn broken(&mut self) {
        (self.so_far, self.looked) = (Duration::ZERO, Instant::now());
    }

    /// The copy is complete.
    pub(super) const fn counts(&mut self) {
        self.counts = true;
    }

    /// # Errors
    /// When the limit is below what has to be waited for, in words.
    pub(super) fn fits(&self, heartbeat_interval: &Seconds) -> Result<(), String> {
        let least = Duration::from_micros(u64::try_from(heartbeat_interval.micros()).unwrap_or_default()) * 2;
        match self.limit {
            Some(limit) if limit < least => Err(format!(
                "--take-over-after-sec has to be at least {}, two heartbeat intervals of that server",
                least.as_secs_f64().ceil()
            )),
            _ => Ok(()),
        }
    }

    /// Completes when there was nothing but silence for long enough. What was counted stays when this is dropped.
    pub(super) async fn is_over(&mut self) {
        loop {
            let now = Instant::now();
            self.so_far += (now - self.looked).min(MOST);
            self.looked = now;
            if self.counts && self.limit.is_some_and(|limit| self.so_far >= limit) {
                return;
            }
            sleep(TICK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_two_heartbeat_intervals() {
        let silence = |sec| Silence::new(Some(Duration::from_secs(sec)));
        assert!(silence(60).fits(&Seconds::whole(30)).is_ok());
        assert!(silence(59).fits(&Seconds::whole(30)).unwrap_err().contains("at least 60"));
        assert!(Silence::new(None).fits(&Seconds::whole(30)).is_ok());
    }

    #[tokio::test]
    async fn it_is_over_when_it_lasted_and_only_with_something_to_go_on_with() {
        let mut silence = Silence::new(Some(Duration::from_millis(1)));
        let waited = tokio::time::timeout(3 * TICK, silence.is_over()).await;
        assert!(waited.is_err(), "the copy was never complete");
        silence.counts();
        silence.is_over().await;
        silence.looked -= Duration::from_secs(3600);
        silence.limit = Some(Duration::from_secs(3600));
        assert!(
            tokio::time::timeout(3 * TICK, silence.is_over()).await.is_err(),
            "an hour slept is no silence"
        );
    }
}
