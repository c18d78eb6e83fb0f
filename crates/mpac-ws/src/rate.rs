//! How fast one connection may talk, and one principal on all of its own: token buckets (D-134, SEC-37).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mpac_wire::PrincipalId;

/// Answers that whoever talks too fast gets at once, and then one a second; whoever goes on all the same is hung up on.
const ANSWERS: u32 = 20;

/// A bucket that holds `burst` tokens and gains `per_sec` of them a second; a message takes one.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Time that one token takes to come back.
    period: Duration,
    /// How far `full_at` may lie ahead: the whole bucket.
    capacity: Duration,
    /// When the bucket is full again, if nothing more is taken.
    full_at: Instant,
}

impl RateLimit {
    pub(crate) fn new(per_sec: u32, burst: u32, now: Instant) -> Self {
        let period = Duration::from_secs(1) / per_sec.max(1);
        Self { period, capacity: period * burst.max(1), full_at: now }
    }

    /// Until there is a token.
    fn wait(&self, now: Instant) -> Duration {
        (self.full_at + self.period).saturating_duration_since(now + self.capacity)
    }

    /// Takes a token; false when there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let next = self.full_at.max(now) + self.period;
        let allowed = next <= now + self.capacity;
        if allowed {
            self.full_at = next;
        }
        allowed
    }

    /// Whether all tokens are there, as in a new one.
    fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

/// What becomes of one more message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Fine,
    /// It is refused, with the time after which there is room.
    TooFast(Duration),
    /// The answers are not heard either.
    Hopeless,
}

/// The buckets of one principal.
#[derive(Debug)]
pub(crate) struct Paced(Mutex<(RateLimit, RateLimit)>);

impl Paced {
    /// One more message.
    pub(crate) fn take(&self, now: Instant) -> Pace {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (messages, answers) = &mut *both;
        if messages.take(now) {
            Pace::Fine
        } else if answers.take(now) {
            Pace::TooFast(messages.wait(now))
        } else {
            Pace::Hopeless
        }
    }

    /// Whether nothing is lost when they are forgotten.
    fn are_full(&self, now: Instant) -> bool {
        let both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        both.0.is_full(now) && both.1.is_full(now)
    }
}

/// All principals who are somewhere on this server, whatever their sessions, and those who were until their buckets are full
/// again: nobody gains anything by hanging up and coming back.
#[derive(Debug)]
pub(crate) struct Everybody {
    per_sec: u32,
    burst: u32,
    here: Mutex<Here>,
}

#[derive(Debug, Default)]
struct Here {
    by_principal: HashMap<PrincipalId, Arc<Paced>>,
    /// With so many it is looked who may be forgotten.
    full: usize,
}

impl Everybody {
    pub(crate) fn new(per_sec: u32, burst: u32) -> Arc<Self> {
        Arc::new(Self { per_sec, burst, here: Mutex::default() })
    }

    /// The buckets that all connections of `principal` share.
    pub(crate) fn paced(&self, principal: &PrincipalId, now: Instant) -> Arc<Paced> {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(paced) = here.by_principal.get(principal) {
            return Arc::clone(paced);
        }
        if here.by_principal.len() >= here.full {
            here.by_principal.retain(|_, paced| Arc::strong_count(paced) > 1 || !paced.are_full(now));
            here.full = 2 * here.by_principal.len() + 16;
        }
        let buckets = (RateLimit::new(self.per_sec, self.burst, now), RateLimit::new(1, ANSWERS, now));
        let paced = Arc::new(Paced(Mutex::new(buckets)));
        here.by_principal.insert(principal.clone(), Arc::clone(&paced));
        paced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_message_does_not() {
        let now = Instant::now();
        let mut limit = RateLimit::new(200, 400, now);
        assert!((0..400).all(|_| limit.take(now)));
        assert!(!limit.take(now));
    }

    #[test]
    fn tokens_come_back_at_the_rate_and_no_faster() {
        let start = Instant::now();
        let mut limit = RateLimit::new(200, 400, start);
        while limit.take(start) {}
        let later = start + Duration::from_secs(1);
        let passed = std::iter::repeat_with(|| limit.take(later)).take_while(|&ok| ok).count();
        assert_eq!(passed, 200);
    }

    #[test]
    fn a_long_silence_earns_no_more_than_a_burst() {
        let start = Instant::now();
        let mut limit = RateLimit::new(10, 20, start);
        let later = start + Duration::from_secs(3600);
        let passed = std::iter::repeat_with(|| limit.take(later)).take_while(|&ok| ok).count();
        assert_eq!(passed, 20);
    }

    #[test]
    fn whoever_is_too_fast_is_told_so_before_being_given_up() {
        let everybody = Everybody::new(10, 5);
        let bob = PrincipalId::new("agent:bob").unwrap();
        let now = Instant::now();
        let (here, there) = (everybody.paced(&bob, now), everybody.paced(&bob, now));
        let paces: Vec<Pace> =
            (0..30).map(|n| if n % 2 == 0 { here.take(now) } else { there.take(now) }).collect();
        assert!(paces[..5].iter().all(|pace| *pace == Pace::Fine), "{paces:?}");
        assert!(
            paces[5..25].iter().all(|pace| *pace == Pace::TooFast(Duration::from_millis(100))),
            "{paces:?}"
        );
        assert!(paces[25..].iter().all(|pace| *pace == Pace::Hopeless), "{paces:?}");
        assert_eq!(
            here.take(now + Duration::from_millis(100)),
            Pace::Fine,
            "the time that was told is enough"
        );
    }

    fn principal(n: u32) -> PrincipalId {
        PrincipalId::new(format!("agent:{n}")).unwrap()
    }

    #[test]
    fn nothing_is_kept_of_those_who_are_gone() {
        let (everybody, now) = (Everybody::new(10, 5), Instant::now());
        (0..10_000).for_each(|n| drop(everybody.paced(&principal(n), now)));
        assert!(everybody.here.lock().unwrap().by_principal.len() <= 17);
    }

    #[test]
    fn coming_back_fills_no_bucket_and_waiting_does() {
        let (everybody, now) = (Everybody::new(10, 5), Instant::now());
        let spent = |at| {
            let paced = everybody.paced(&principal(0), at);
            std::iter::repeat_with(|| paced.take(at)).take_while(|pace| *pace == Pace::Fine).count()
        };
        assert_eq!(spent(now), 5);
        // However many come and go meanwhile.
        (1..1_000).for_each(|n| drop(everybody.paced(&principal(n), now)));
        assert_eq!(spent(now), 0);
        let later = now + Duration::from_secs(60);
        (1_000..2_000).for_each(|n| drop(everybody.paced(&principal(n), later)));
        assert!(!everybody.here.lock().unwrap().by_principal.contains_key(&principal(0)));
        assert_eq!(spent(later), 5);
    }
}
