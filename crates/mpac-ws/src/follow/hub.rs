//! Who follows, how far each is, and who of them goes on when the server ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tracing::info;

use super::{Follower, Place};

/// For a standby to have the rest on its disk.
const REST: Duration = Duration::from_secs(10);
/// For followers to hear how it ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the server is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// No session runs any more.
    Ended,
    /// One of the followers has everything: the sessions are that one's.
    Released {
        to: u64,
        server: String,
        epochs: BTreeMap<String, u64>,
    },
    /// They are somebody's who is none of the followers, or unknown.
    Elsewhere {
        server: String,
    },
    /// Nobody goes on, for now.
    Over,
}

/// Shared by the server and those who send to its followers.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    state: Arc<Mutex<State>>,
    phase: watch::Sender<Phase>,
    changed: watch::Sender<()>,
    /// A standby is gone, and may have taken over.
    suspicion: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Who goes on, if somebody said so.
    chosen: Option<u64>,
    /// Where standbys serve, or would: those that left too.
    addresses: BTreeSet<String>,
    /// Those of them that take over by themselves and do not follow just now.
    astray: BTreeSet<String>,
    followers: BTreeMap<u64, Known>,
}

#[derive(Debug)]
struct Known {
    role: Follower,
    /// What is on its disk.
    acknowledged: BTreeMap<Place, u64>,
    /// Whether everything there will ever be is.
    has_all: bool,
    /// Sessions in use that it cannot have whole.
    lacks: BTreeSet<Place>,
}

/// A follower's place in the hub, until it is dropped.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) number: u64,
    hub: Hub,
}

impl Default for Hub {
    fn default() -> Self {
        let (phase, changed) = (watch::Sender::new(Phase::Serving), watch::Sender::new(()));
        Self { state: Arc::default(), phase, changed, suspicion: Arc::default() }
    }
}

impl Hub {
    /// Of a server that was given its sessions, while standbys at these addresses may take them too.
    pub(crate) fn among(beside: Vec<String>) -> Self {
        let hub = Self::default();
        let addresses: BTreeSet<String> = beside.into_iter().collect();
        if !addresses.is_empty() {
            // One of them may have done so already.
            hub.suspicion.notify_one();
        }
        *hub.lock() = State { astray: addresses.clone(), addresses, ..State::default() };
        hub
    }

    /// Where standbys would serve that take over by themselves, but for the one that is given the sessions. Of one that seems to
    /// be there it is not known whether it still hears anything.
    pub(crate) fn beside(&self, given: &str) -> Vec<String> {
        let state = self.lock();
        let there = state.followers.values().filter_map(|known| match &known.role {
            Follower::Standby { address, after_silence: true } => Some(address),
            _ => None,
        });
        let all: BTreeSet<&String> = there.chain(&state.astray).filter(|&address| address != given).collect();
        all.into_iter().cloned().collect()
    }

    /// # Errors
    /// When both this one and another would take over by themselves: they would do so under the same epoch, each without knowing
    /// of the other, and nobody could tell them apart (REC-25).
    pub(crate) fn attach(&self, role: Follower) -> Result<Attached, String> {
        let mut state = self.lock();
        if let Some(other) = state.followers.values().find_map(|known| rival(&known.role, &role)) {
            return Err(format!(
                "the standby for {other} follows with --take-over-after-sec, and only one may: leave it out here, and use take-over"
            ));
        }
        state.next += 1;
        let number = state.next;
        info!("{} follows", name(&role));
        if let Follower::Standby { address, .. } = &role {
            state.addresses.insert(address.clone());
            state.astray.remove(address);
        }
        state.followers.insert(
            number,
            Known { role, acknowledged: BTreeMap::new(), has_all: false, lacks: BTreeSet::new() },
        );
        Ok(Attached { number, hub: self.clone() })
    }

    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Completes when a standby has left.
    pub(crate) async fn suspicion(&self) {
        self.suspicion.notified().await;
    }

    /// Whether a standby that takes over by itself does not follow just now.
    pub(crate) fn is_one_astray(&self) -> bool {
        !self.lock().astray.is_empty()
    }

    /// Where somebody may have taken over.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.lock().addresses.iter().cloned().collect()
    }

    /// One line for each, with how much of `ends` is not on its disk.
    pub(crate) fn followers(&self, ends: &BTreeMap<Place, u64>) -> Vec<String> {
        let line = |known: &Known| {
            let has = |of: &Place| known.acknowledged.get(of).copied().unwrap_or_default();
            let behind: u64 = ends.iter().map(|(of, n)| n.saturating_sub(has(of))).sum();
            let lacks: String =
                known.lacks.iter().map(|of| format!(", without {of}, which is damaged")).collect();
            format!("{}: {behind} entries behind{lacks}", name(&known.role))
        };
        self.lock().followers.values().map(line).collect()
    }

    /// The standby for this address is the one that goes on.
    ///
    /// # Errors
    /// When none follows, or it could not go on with everything, in words.
    pub(crate) fn choose(&self, address: &str) -> Result<(), String> {
        let mut state = self.lock();
        let is_it =
            |known: &Known| matches!(&known.role, Follower::Standby { address: its, .. } if its == address);
        // The one that came last: an older connection of the same may be one that nobody knows to be broken.
        let found = state.followers.iter().rev().find(|(_, known)| is_it(known));
        let (number, known) = found.ok_or_else(|| format!("no standby for {address} follows"))?;
        if let Some(of) = known.lacks.first() {
            return Err(format!(
                "session {of} is damaged here, and would be lost: stop this server and repair it (mpac-ws repair)"
            ));
        }
        state.chosen = Some(*number);
        Ok(())
    }

    /// Whether there is somebody to hand the sessions over to.
    pub(crate) fn has_standby(&self) -> bool {
        self.lock().followers.values().any(|known| matches!(known.role, Follower::Standby { .. }))
    }

    /// No session runs any more: waits until a standby has everything, and gives its number and address. `None` when there
    /// is no standby, or none that is fast enough.
    pub(crate) async fn successor(&self) -> Option<(u64, String)> {
        self.phase.send_replace(Phase::Ended);
        let mut changes = self.changed.subscribe();
        let found = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = self.ready() {
                    return Some(found);
                }
                let is_awaited = self.lock().followers.values().any(Known::can_have_all);
                if !is_awaited || changes.changed().await.is_err() {
                    return None;
                }
            }
        };
        timeout(REST, found).await.ok().flatten()
    }

    /// Tells all followers how it ended, and waits until they are gone.
    pub(crate) async fn end(&self, phase: Phase) {
        self.phase.send_replace(phase);
        let mut changes = self.changed.subscribe();
        let gone = async { while !self.lock().followers.is_empty() && changes.changed().await.is_ok() {} };
        // Whoever is stuck finds out by itself.
        let _ = timeout(FAREWELL, gone).await;
    }

    fn ready(&self) -> Option<(u64, String)> {
        let state = self.lock();
        // One that has left is no choice any more.
        let chosen = state.chosen.filter(|chosen| state.followers.contains_key(chosen));
        let may = |number: u64| chosen.is_none_or(|chosen| chosen == number);
        state.followers.iter().rev().find_map(|(number, known)| match &known.role {
            Follower::Standby { address, .. } if known.has_all && may(*number) => {
                Some((*number, address.clone()))
            }
            _ => None,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock, so a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the standby for this address follows.
    fn follows(&self, address: &str) -> bool {
        let is_it =
            |role: &Follower| matches!(role, Follower::Standby { address: its, .. } if its == address);
        self.followers.values().any(|known| is_it(&known.role))
    }
}

impl Known {
    /// Whether it is a standby that only has to be waited for.
    fn can_have_all(&self) -> bool {
        matches!(self.role, Follower::Standby { .. }) && self.lacks.is_empty()
    }
}

impl Attached {
    /// It cannot have all of this session.
    pub(crate) fn lacks(&self, of: Place) {
        if let Some(known) = self.hub.lock().followers.get_mut(&self.number) {
            known.lacks.insert(of);
        }
        self.hub.changed.send_replace(());
    }

    /// Everything up to `n` is on its disk.
    pub(crate) fn acknowledged(&self, of: Place, n: u64) {
        if let Some(known) = self.hub.lock().followers.get_mut(&self.number) {
            known.acknowledged.insert(of, n);
        }
    }

    /// Whether all of `ends` is on its disk; then it may go on.
    pub(crate) fn has_all(&self, ends: &BTreeMap<Place, u64>) -> bool {
        let mut state = self.hub.lock();
        let Some(known) = state.followers.get_mut(&self.number) else { return false };
        known.has_all = known.lacks.is_empty()
            && ends.iter().all(|(of, n)| known.acknowledged.get(of).is_some_and(|has| has >= n));
        let has_all = known.has_all;
        drop(state);
        self.hub.changed.send_replace(());
        has_all
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        if let Some(known) = state.followers.remove(&self.number) {
            info!("{} follows no more", name(&known.role));
            if let Follower::Standby { address, after_silence } = known.role {
                if after_silence && !state.follows(&address) {
                    state.astray.insert(address);
                }
                self.hub.suspicion.notify_one();
            }
        }
        drop(state);
        self.hub.changed.send_replace(());
    }
}

/// The address of the first, if each of the two takes over by itself. One that comes again after its connection broke, which is
/// not known here yet, is none beside itself.
fn rival<'a>(one: &'a Follower, other: &Follower) -> Option<&'a str> {
    match (one, other) {
        (
            Follower::Standby { address, after_silence: true },
            Follower::Standby { address: its, after_silence: true },
        ) if address != its => Some(address),
        _ => None,
    }
}

fn name(role: &Follower) -> String {
    match role {
        Follower::Standby { address, .. } => format!("the standby for {address}"),
        Follower::Backup => "a backup".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standby_for(address: &str, after_silence: bool) -> Follower {
        Follower::Standby { address: address.to_owned(), after_silence }
    }

    #[test]
    fn only_one_standby_takes_over_by_itself() {
        let hub = Hub::default();
        let one = hub.attach(standby_for("one", true)).unwrap();
        let refused = hub.attach(standby_for("two", true)).unwrap_err();
        assert!(
            refused.contains("the standby for one") && refused.contains("--take-over-after-sec"),
            "{refused}"
        );
        let _others = [standby_for("two", false), Follower::Backup].map(|role| hub.attach(role).unwrap());
        let again = hub.attach(standby_for("one", true)).unwrap();
        drop(one);
        assert!(!hub.is_one_astray(), "it has come again");
        drop(again);
        assert!(hub.is_one_astray(), "it may take over");
        hub.attach(standby_for("one", false)).unwrap();
        assert!(!hub.is_one_astray(), "not by itself any more");
        hub.attach(standby_for("two", true)).unwrap();
        let before: Follower = serde_json::from_str(r#"{"standby":{"address":"two"}}"#).unwrap();
        assert_eq!(before, standby_for("two", false), "as earlier builds say it");
    }

    #[test]
    fn whoever_is_given_the_sessions_hears_who_may_take_them_too() {
        let hub = Hub::among(vec!["far".to_owned()]);
        assert!(hub.is_one_astray() && hub.addresses() == ["far"], "it is looked at from the start");
        let _others = [standby_for("to", false), Follower::Backup].map(|role| hub.attach(role).unwrap());
        let there = hub.attach(standby_for("near", true)).unwrap();
        assert_eq!(hub.beside("to"), ["far", "near"], "whether or not it seems to be there");
        assert_eq!(hub.beside("near"), ["far"]);
        drop(there);
        assert_eq!(hub.beside("to"), ["far", "near"]);
    }

    #[tokio::test]
    async fn only_a_standby_that_has_everything_goes_on() {
        let hub = Hub::default();
        assert_eq!(hub.successor().await, None, "there is nobody");
        let ends = BTreeMap::from([(Place { name: "s".to_owned(), run: 1 }, 5)]);
        let of = || Place { name: "s".to_owned(), run: 1 };
        let backup = hub.attach(Follower::Backup).unwrap();
        backup.acknowledged(of(), 5);
        assert!(backup.has_all(&ends));
        assert_eq!(hub.successor().await, None, "a backup is no standby");
        let standby = hub.attach(standby_for("there", false)).unwrap();
        standby.acknowledged(of(), 4);
        assert!(!standby.has_all(&ends));
        let waiting = tokio::spawn({
            let hub = hub.clone();
            async move { hub.successor().await }
        });
        standby.acknowledged(of(), 5);
        assert!(standby.has_all(&ends));
        assert_eq!(waiting.await.unwrap(), Some((standby.number, "there".to_owned())));
        let other = hub.attach(standby_for("elsewhere", false)).unwrap();
        other.acknowledged(of(), 5);
        assert!(other.has_all(&ends));
        assert!(hub.choose("nowhere").is_err());
        hub.choose("elsewhere").unwrap();
        assert_eq!(hub.successor().await, Some((other.number, "elsewhere".to_owned())), "as was said");
        // It has come again, and nobody knows yet that the connection before is broken.
        let again = hub.attach(standby_for("elsewhere", false)).unwrap();
        again.acknowledged(of(), 5);
        assert!(again.has_all(&ends));
        hub.choose("elsewhere").unwrap();
        assert_eq!(hub.successor().await, Some((again.number, "elsewhere".to_owned())));
        drop((other, again));
        assert_eq!(hub.followers(&BTreeMap::from([(of(), 7)]))[1], "the standby for there: 2 entries behind");
        drop(standby);
        assert_eq!(hub.successor().await, None, "it is gone");
    }
}
