//! How often somebody at an address may show a credential that is no good, before they have to wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::doors::network;

/// Without another one it is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(300);
/// Addresses that are remembered at the most.
const MOST: usize = 10_000;

/// Counts refused credentials by address.
#[derive(Debug)]
pub(crate) struct Attempts {
    free: u32,
    by_address: Mutex<HashMap<IpAddr, Tries>>,
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    count: u32,
    last: Instant,
}

impl Tries {
    /// How long this address has to wait after its last one.
    fn wait(&self, free: u32) -> Duration {
        match self.count.checked_sub(free) {
            None => Duration::ZERO,
            // 2^9 s is beyond the longest.
            Some(more) => Duration::from_secs(1 << more.min(9)).min(LONGEST),
        }
    }
}

impl Attempts {
    /// Of which each address has so many before it waits.
    pub(crate) fn new(free: u32) -> Arc<Self> {
        Arc::new(Self { free, by_address: Mutex::default() })
    }

    /// One more was no good.
    pub(crate) fn failed(&self, from: IpAddr, now: Instant) {
        let from = network(from);
        let mut all = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&from) && all.len() >= MOST {
            all.retain(|_, tries| now.duration_since(tries.last) < FORGOTTEN_AFTER);
            // Whoever comes from everywhere at once loses nothing but the count of whoever was quiet longest.
            let quiet = all.iter().min_by_key(|(_, tries)| tries.last).map(|(address, _)| *address);
            if let Some(quiet) = quiet.filter(|_| all.len() >= MOST) {
                all.remove(&quiet);
            }
        }
        let tries = all.entry(from).or_insert(Tries { count: 0, last: now });
        if now.duration_since(tries.last) >= FORGOTTEN_AFTER {
            tries.count = 0;
        }
        *tries = Tries { count: tries.count.saturating_add(1), last: now };
    }

    /// How long somebody at this address still has to wait, if at all.
    pub(crate) fn wait(&self, from: IpAddr, now: Instant) -> Option<Duration> {
        let all = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = all.get(&network(from))?;
        let left = tries.wait(self.free).saturating_sub(now.duration_since(tries.last));
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    #[test]
    fn each_one_beyond_the_free_ones_doubles_the_wait_up_to_five_minutes() {
        let (attempts, now) = (Attempts::new(3), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..13 {
            attempts.failed(HERE, now);
            waits.push(attempts.wait(HERE, now).map_or(0, |wait| wait.as_secs()));
        }
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(attempts.wait(HERE, now + Duration::from_secs(300)), None, "and then it may try again");
    }

    #[test]
    fn after_ten_quiet_minutes_it_starts_anew() {
        let (attempts, now) = (Attempts::new(1), Instant::now());
        (0..9).for_each(|_| attempts.failed(HERE, now));
        let later = now + FORGOTTEN_AFTER;
        attempts.failed(HERE, later);
        assert_eq!(attempts.wait(HERE, later), Some(Duration::from_secs(1)));
    }

    #[test]
    fn no_more_addresses_are_remembered_than_fit_and_the_quietest_goes_first() {
        let (attempts, start) = (Attempts::new(1), Instant::now());
        let address = |n: usize| IpAddr::from(Ipv6Addr::from_bits((n as u128) << 64));
        for n in 0..MOST + 5 {
            attempts.failed(address(n), start + Duration::from_micros(n as u64));
        }
        assert_eq!(attempts.by_address.lock().unwrap().len(), MOST);
        let now = start + Duration::from_millis(50);
        assert_eq!(attempts.wait(address(0), now), None, "forgotten");
        assert!(attempts.wait(address(MOST), now).is_some());
    }
}
