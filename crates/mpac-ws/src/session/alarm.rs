//! When a session looks at the clock again.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Timers are as exact as this.
const TICK: Duration = Duration::from_millis(1);

/// One timer for all waits of a session. It is set anew only to ring earlier or after it rang: deadlines move on with each
/// message, and a new timer would wake the runtime once more for each.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Returns after that time or, where an earlier wait was for less, before it. Can be dropped meanwhile.
    pub(super) async fn within(&mut self, nap: Duration) {
        let at = Instant::now() + nap;
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.is_elapsed() || at + TICK < timer.deadline() {
            timer.as_mut().reset(at);
        }
        timer.as_mut().await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn it_rings_in_time_whatever_it_was_set_to_before() {
        let [hour, soon, minute] = [Duration::from_secs(3600), TICK, Duration::from_secs(60)];
        let mut alarm = Alarm::default();
        tokio::select! {
            biased;
            () = alarm.within(hour) => panic!("it has not been an hour"),
            () = ready(()) => {}
        }
        for _ in 0..2 {
            let begun = Instant::now();
            timeout(minute, alarm.within(soon))
                .await
                .expect("earlier than it was set to, and again once it rang");
            assert!(begun.elapsed() >= soon);
        }
    }
}
