//! How many connections there may be: together, and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use crate::metrics::limit::Limit;

/// Counts who is inside.
#[derive(Debug)]
pub(crate) struct Doors {
    most: u32,
    most_of_one: u32,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// Leave to stay, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    doors: Arc<Doors>,
    from: IpAddr,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Full {
    #[error("this server has as many connections as it takes; try again later")]
    All,
    #[error("there are as many connections from this address as the server takes; close one")]
    Address,
}

impl Full {
    pub(crate) const fn limit(self) -> Limit {
        match self {
            Self::All => Limit::Connections,
            Self::Address => Limit::ConnectionsPerAddress,
        }
    }

    pub(crate) const fn retry_after_sec(self) -> u32 {
        match self {
            Self::All => 30,
            Self::Address => 5,
        }
    }
}

impl Doors {
    /// For at most `most` connections, and `most_of_one` from one address.
    pub(crate) fn new(most: u32, most_of_one: u32) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, inside: Mutex::default() })
    }

    /// Lets one more in, or says why not.
    pub(crate) fn enter(self: &Arc<Self>, from: IpAddr) -> Result<Pass, Full> {
        let from = network(from);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = inside.by_address.get(&from).copied().unwrap_or_default();
        if inside.all >= self.most {
            return Err(Full::All);
        }
        if theirs >= self.most_of_one {
            return Err(Full::Address);
        }
        inside.all += 1;
        inside.by_address.insert(from, theirs + 1);
        Ok(Pass { doors: Arc::clone(self), from })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.doors.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all = inside.all.saturating_sub(1);
        if let Some(theirs) = inside.by_address.get_mut(&self.from) {
            *theirs -= 1;
            if *theirs == 0 {
                inside.by_address.remove(&self.from);
            }
        }
    }
}

/// Somebody with IPv6 has 2^64 addresses at least: they count as one.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn whoever_leaves_makes_room() {
        let doors = Doors::new(3, 2);
        let one = doors.enter(ip("10.0.0.1")).unwrap();
        let _two = doors.enter(ip("::ffff:10.0.0.1")).unwrap();
        assert_eq!(doors.enter(ip("10.0.0.1")).unwrap_err(), Full::Address, "the same in another spelling");
        let _three = doors.enter(ip("10.0.0.2")).unwrap();
        assert_eq!(doors.enter(ip("10.0.0.3")).unwrap_err(), Full::All);
        drop(one);
        drop(doors.enter(ip("10.0.0.1")).unwrap());
        assert!(doors.enter(ip("10.0.0.3")).is_ok());
        assert_eq!(doors.inside.lock().unwrap().by_address.len(), 2, "nothing is kept of those who left");
    }

    #[test]
    fn neighbours_in_one_network_count_as_one() {
        let doors = Doors::new(9, 1);
        let _pass = doors.enter(ip("2001:db8::1")).unwrap();
        assert_eq!(doors.enter(ip("2001:db8::ffff:1")).unwrap_err(), Full::Address);
        assert!(doors.enter(ip("2001:db8:0:1::1")).is_ok());
    }
}
