//! What has happened since the start, with the time on the wall.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Local};
use futures::FutureExt as _;
use tokio::task::JoinHandle;

use super::board::Board;
use super::desk::look;
use crate::agent::{Agent, Event, Events};
use crate::report::one_line;
use crate::verb::sentence;

/// So many are kept.
const KEPT: usize = 1_000;

/// The last events.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<VecDeque<(DateTime<Local>, Event)>>);

impl Log {
    fn add(&self, at: DateTime<Local>, event: Event) {
        let mut kept = self.kept();
        kept.push_back((at, event));
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }

    /// The last so many, oldest first, a line each.
    pub(super) fn last(&self, count: usize) -> Vec<String> {
        let kept = self.kept();
        let skip = kept.len().saturating_sub(count);
        let line = |(at, event): &(DateTime<Local>, Event)| {
            format!("{}  {}", at.format("%H:%M:%S"), one_line(&sentence(event)))
        };
        kept.iter().skip(skip).map(line).collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(DateTime<Local>, Event)>> {
        // A panic elsewhere has left it as good as ever.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what happens, and keeps the names that can be completed, until it is dropped.
pub(super) struct Writer(JoinHandle<()>);

impl Writer {
    pub(super) fn start(agent: &Agent, log: Arc<Log>, board: Arc<Board>) -> Self {
        let events = agent.events();
        Self(tokio::spawn(write(agent.clone(), events, log, board)))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn write(agent: Agent, mut events: Events, log: Arc<Log>, board: Arc<Board>) {
    while let Some(event) = events.next().await {
        log.add(Local::now(), event);
        while let Some(Some(event)) = events.next().now_or_never() {
            log.add(Local::now(), event);
        }
        // At the end there is nothing to complete any more.
        let _ = look(&agent, &board).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_things_are_told_in_order_and_on_their_lines() {
        let log = Log::default();
        for lost in 0..=KEPT as u64 {
            log.add(Local::now(), Event::Lagged { lost });
        }
        let why = "gone\n12:00:00  all is well".to_owned();
        let at = "2026-01-02T03:04:05+00:00".parse::<DateTime<Local>>().unwrap();
        log.add(at, Event::Disconnected { why });
        let told = log.last(2);
        assert!(told[0].ends_with(&format!("  {KEPT} events were lost")), "{told:?}");
        assert_eq!(told[1], format!("{}  disconnected: gone 12:00:00 all is well", at.format("%H:%M:%S")));
        assert_eq!(log.last(usize::MAX).len(), KEPT);
    }
}
