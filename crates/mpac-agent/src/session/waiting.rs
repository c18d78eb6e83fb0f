//! Waiting for something, while everything that arrives is taken in.

use std::future::Future;
use std::pin::pin;

use tokio::time::Instant;

use super::Session;
use super::away::Place;
use crate::error::AgentError;

impl Session {
    /// Lets things arrive while something else is awaited. After a break the session is looked at meanwhile.
    ///
    /// # Errors
    /// [`AgentError::Lost`], [`AgentError::SessionClosed`], [`AgentError::Overruled`].
    pub async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> Result<T, AgentError> {
        let mut other = pin!(other);
        loop {
            if let Some(done) = self.meanwhile_or(&mut other, |_| false).await? {
                return Ok(done);
            }
        }
    }

    /// As [`meanwhile`](Self::meanwhile), and no longer than until there is news: then `None`, and what was awaited is
    /// dropped.
    ///
    /// # Errors
    /// As [`meanwhile`](Self::meanwhile).
    pub(crate) async fn meanwhile_or<T>(
        &mut self,
        other: impl Future<Output = T>,
        news: impl Fn(&Self) -> bool,
    ) -> Result<Option<T>, AgentError> {
        let mut other = pin!(other);
        loop {
            self.check_stop()?;
            if self.place == Place::Back {
                let mut look = pin!(self.catch_up());
                let done = tokio::select! {
                    biased;
                    looked = &mut look => { looked?; continue }
                    done = &mut other => done,
                };
                look.await?;
                return Ok(Some(done));
            }
            if news(self) {
                return Ok(None);
            }
            tokio::select! {
                done = &mut other => return Ok(Some(done)),
                step = self.step() => { step?; }
            }
        }
    }

    /// As [`next`](Self::next), at most until `until`; with `None` for as long as it takes.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_until(&mut self, until: Option<Instant>) -> Result<(), AgentError> {
        match until {
            None => self.next().await,
            // Nothing came, which is as good a reason to look again.
            Some(until) => tokio::time::timeout_at(until, self.next()).await.unwrap_or(Ok(())),
        }
    }

    /// Lets one thing arrive, or looks at the session after a break. Safe to be dropped while it waits.
    ///
    /// # Errors
    /// [`AgentError::Lost`], [`AgentError::SessionClosed`], and what an announce that has to be repeated ends with.
    pub async fn next(&mut self) -> Result<(), AgentError> {
        if self.place == Place::Back {
            return self.catch_up().await;
        }
        self.step().await.map(|_| ())
    }

    /// How often something was heard that may have ended a freeze: a resolution, the end of an intent, how the session stands.
    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    /// How many of these files are frozen, by what we were told.
    ///
    /// # Errors
    /// [`AgentError::Lost`].
    pub(crate) fn frozen_of(&self, paths: &[String]) -> impl Future<Output = Result<usize, AgentError>> {
        let paths = paths.to_vec();
        self.link.look(move |it| paths.iter().filter(|path| it.is_frozen(path)).count())
    }
}
