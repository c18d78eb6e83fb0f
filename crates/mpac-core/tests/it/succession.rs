//! Two coordinators over one store, one participant, and everything in flight: every order of crashes, recoveries,
//! handovers and late deliveries. A site that pauses is one whose turn does not come for a while.
//!
//! What is explored are real coordinators and a real participant. A site that was suspected wrongly goes on talking
//! until it learns of its successor, and all it said stays in flight as long as it likes. What the store refuses a site
//! says nevertheless: the worst a host could do. Relays carry no epoch (ENV-10), so they count on the connection the
//! participant reads now, and on no other.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use mpac_core::participant::{Hearing, Stamp};
use mpac_core::{Command, ConnId, Coordinator, IdSource, Input, Output, Participant, Peer, SessionConfig};
use mpac_wire::names::{CoordinatorEvent, Role};
use mpac_wire::snapshot::Snapshot;
use mpac_wire::{ClaimedTime, Envelope, Integer, Limits, MessageId, Received, Scope, Timestamp};

use crate::covers;
use crate::world::{START, World, config, intent};

/// Epochs beyond this one are not explored.
const LAST_EPOCH: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// The participant connects to this site and says HELLO there.
    Connect(usize),
    Announce,
    /// A site takes the next frame that arrived.
    Take(usize),
    /// A site tells everybody that it is alive.
    Status(usize),
    /// A site takes the session up from the store, whether or not the other one is really gone.
    Recover(usize),
    HandOver(usize),
    /// A site learns under which epoch the store is.
    Learn(usize),
    /// The oldest message in flight from a site arrives.
    Deliver(usize),
}

fn acts() -> Vec<Act> {
    let mut acts = vec![Act::Announce];
    for site in [0, 1] {
        acts.extend([
            Act::Connect(site),
            Act::Take(site),
            Act::Status(site),
            Act::Recover(site),
            Act::HandOver(site),
            Act::Learn(site),
            Act::Deliver(site),
        ]);
    }
    acts
}

/// How the host keeps its store, and how the participant listens; tests hand in broken ones.
#[derive(Clone, Copy)]
struct Habits {
    /// Taking a session up is written down at once, so that nobody else takes up the same.
    writes_recovery: bool,
    hear: fn(&mut Participant, &Envelope) -> Hearing,
}

fn hear(participant: &mut Participant, envelope: &Envelope) -> Hearing {
    participant.hear(envelope, &envelope.message().unwrap())
}

const SOUND: Habits = Habits { writes_recovery: true, hear };

#[derive(Clone, Default)]
struct Site {
    coordinator: Option<Coordinator>,
    /// It has handed over or learnt of a later one, and was not taken up anew since.
    silent: bool,
    arriving: VecDeque<(ConnId, String)>,
    in_flight: VecDeque<String>,
}

#[derive(Clone)]
struct Place {
    config: SessionConfig,
    now: Timestamp,
    sites: [Site; 2],
    store: Snapshot,
    participant: Participant,
    /// Which site it talks to, and on which connection.
    connected: Option<(usize, ConnId)>,
    connections: u64,
    messages: u64,
    /// The highest epoch it was told.
    highest: u64,
    /// Who has taken the session up under which epoch; the first is the one it began with.
    reigns: Vec<(usize, u64)>,
}

type Verdict<T> = Result<T, String>;

impl Place {
    fn new() -> Self {
        let (config, now) = (config(), Timestamp::parse(START).unwrap());
        let coordinator = Coordinator::new(config.clone(), IdSource::new(7), now).unwrap();
        let store = coordinator.snapshot();
        let first = Site { coordinator: Some(coordinator), ..Site::default() };
        Self {
            config,
            now,
            sites: [first, Site::default()],
            store,
            participant: World::participant("alice", 1, &[Role::Contributor]),
            connected: None,
            connections: 0,
            messages: 0,
            highest: 0,
            reigns: vec![(0, 1)],
        }
    }

    fn stamp(&mut self) -> Stamp {
        self.messages += 1;
        Stamp::new(MessageId::new(format!("m{}", self.messages)).unwrap(), ClaimedTime::from(self.now))
    }

    /// What this becomes; `None` where it cannot be done now.
    fn after(&self, act: Act, habits: Habits) -> Verdict<Option<Self>> {
        let mut place = self.clone();
        let done = match act {
            Act::Connect(site) => place.connect(site),
            Act::Announce => place.announce(),
            Act::Take(site) => place.take(site)?,
            Act::Status(site) => {
                place.input(site, Input::Command(Command::Status(CoordinatorEvent::Heartbeat)))?
            }
            Act::Recover(site) => place.recover(site, habits)?,
            Act::HandOver(site) => place.hand_over(site)?,
            Act::Learn(site) => place.learn(site)?,
            Act::Deliver(site) => place.deliver(site, habits)?,
        };
        Ok(done.then_some(place))
    }

    fn connect(&mut self, site: usize) -> bool {
        self.connections += 1;
        let conn = ConnId(self.connections);
        self.connected = Some((site, conn));
        let stamp = self.stamp();
        let hello = self.participant.hello(stamp, None);
        self.sites[site].arriving.push_back((conn, hello.to_json()));
        true
    }

    fn announce(&mut self) -> bool {
        let free = self.participant.intents().is_empty() && self.participant.unanswered().next().is_none();
        let Some((site, conn)) = self.connected.filter(|_| free) else { return false };
        let stamp = self.stamp();
        let scope = Scope::files(["x"]);
        let envelope = self.participant.announce(stamp, intent("i"), "o".to_owned(), scope, None);
        self.sites[site].arriving.push_back((conn, envelope.to_json()));
        true
    }

    fn take(&mut self, site: usize) -> Verdict<bool> {
        if self.sites[site].coordinator.is_none() {
            return Ok(false);
        }
        let Some((conn, text)) = self.sites[site].arriving.pop_front() else { return Ok(false) };
        self.input(site, Input::Frame { from: Peer::unproven(conn), text: text.into() })
    }

    /// Lets a site work, puts what it says into flight, and stores what it has become if the store takes it.
    fn input(&mut self, site: usize, input: Input) -> Verdict<bool> {
        let now = self.now;
        let Site { coordinator: Some(coordinator), silent, in_flight, .. } = &mut self.sites[site] else {
            return Ok(false);
        };
        let epoch = coordinator.epoch();
        for output in coordinator.handle(now, input).outputs {
            let text = match output {
                Output::Send { envelope, .. } => {
                    if envelope.coordinator_epoch.as_ref().map(|it| it.get()) != Some(epoch) {
                        return Err(format!("{} does not carry epoch {epoch}", envelope.message_type));
                    }
                    envelope.to_json()
                }
                Output::Relay { text, .. } => text.to_string(),
                _ => continue,
            };
            if *silent {
                return Err(format!("site {site} speaks after it fell silent")); // REC-20, REC-26
            }
            in_flight.push_back(text);
        }
        if coordinator.epoch() != epoch {
            return Err("an epoch changed under way".to_owned());
        }
        let snapshot = coordinator.snapshot();
        if snapshot.coordinator_epoch.get() >= self.store.coordinator_epoch.get() && !*silent {
            self.store = snapshot;
        }
        Ok(true)
    }

    fn recover(&mut self, site: usize, habits: Habits) -> Verdict<bool> {
        let stored = self.store.coordinator_epoch.get();
        if stored >= LAST_EPOCH {
            return Ok(false);
        }
        let coordinator = Coordinator::restore(self.config.clone(), &self.store, 7, self.now)
            .map_err(|it| it.to_string())?;
        let epoch = coordinator.epoch();
        if epoch <= stored {
            return Err(format!("epoch {epoch} follows {stored}")); // REC-27
        }
        if self.reigns.iter().any(|(_, other)| *other == epoch) {
            return Err(format!("epoch {epoch} is taken up twice")); // REC-25
        }
        self.reigns.push((site, epoch));
        if habits.writes_recovery {
            self.store = coordinator.snapshot();
        }
        self.sites[site].coordinator = Some(coordinator);
        self.sites[site].silent = false;
        self.sites[site].arriving.clear(); // sockets do not survive it
        Ok(true)
    }

    fn hand_over(&mut self, site: usize) -> Verdict<bool> {
        let Some(coordinator) = &self.sites[site].coordinator else { return Ok(false) };
        // Only who still has the session can hand it over.
        if self.sites[site].silent || coordinator.epoch() != self.store.coordinator_epoch.get() {
            return Ok(false);
        }
        let successor = self.config.coordinator_id();
        let done = self.input(site, Input::Command(Command::HandOver { successor, next_epoch: 0 }))?;
        self.sites[site].silent |= done;
        Ok(done)
    }

    fn learn(&mut self, site: usize) -> Verdict<bool> {
        let epoch = self.store.coordinator_epoch.get();
        let later = self.sites[site].coordinator.as_ref().is_some_and(|it| it.epoch() < epoch);
        if !later || self.sites[site].silent {
            return Ok(false);
        }
        let done = self.input(site, Input::Command(Command::Fence { epoch }))?;
        self.sites[site].silent |= done;
        Ok(done)
    }

    /// A message of a lower epoch than one heard before has no effect; every other one counts (REC-24).
    fn deliver(&mut self, site: usize, habits: Habits) -> Verdict<bool> {
        let Some(text) = self.sites[site].in_flight.pop_front() else { return Ok(false) };
        let received = Received::parse(text.as_str(), &Limits::default()).unwrap();
        let envelope = received.envelope();
        let Some(epoch) = envelope.coordinator_epoch.as_ref().map(|it| it.get()) else {
            if self.connected.is_some_and(|(now, _)| now == site) {
                (habits.hear)(&mut self.participant, envelope);
            }
            return Ok(true);
        };
        let before = self.participant.clone();
        let hearing = (habits.hear)(&mut self.participant, envelope);
        let stale = epoch < self.highest;
        // One that is not stale may still come from somebody who is not followed (PAR-26).
        if stale && hearing == Hearing::Fresh || !stale && hearing == Hearing::Stale {
            return Err(format!(
                "{} of epoch {epoch} after {}: {hearing:?}",
                envelope.message_type, self.highest
            ));
        }
        if stale && self.participant != before {
            return Err(format!("{} of epoch {epoch} had an effect", envelope.message_type));
        }
        if hearing == Hearing::Fresh && self.participant.session_info().is_some() {
            self.highest = self.highest.max(epoch);
        }
        Ok(true)
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for site in &self.sites {
            let coordinator = site.coordinator.as_ref().map(|it| (it.epoch(), it.essence()));
            (coordinator, site.silent).hash(&mut hasher);
            let kind = |text: &String| {
                let received = Received::parse(text.as_str(), &Limits::default()).unwrap();
                let envelope = received.envelope();
                (envelope.message_type.to_string(), envelope.coordinator_epoch.as_ref().map(|it| it.get()))
            };
            let arriving: Vec<_> = site.arriving.iter().map(|(_, text)| kind(text)).collect();
            (arriving, site.in_flight.iter().map(kind).collect::<Vec<_>>()).hash(&mut hasher);
        }
        let own: Vec<String> = self.participant.intents().keys().map(ToString::to_string).collect();
        (own, self.participant.unanswered().count(), self.participant.session_info().is_some())
            .hash(&mut hasher);
        let site = self.connected.map(|(site, _)| site);
        (site, self.highest, self.store.coordinator_epoch.get(), &self.reigns).hash(&mut hasher);
        hasher.finish()
    }
}

/// The participant has been let in.
const OPENING: [Act; 3] = [Act::Connect(0), Act::Take(0), Act::Deliver(0)];

/// Every order of so many acts after these.
fn explore(opening: &[Act], depth: usize, habits: Habits) -> Result<(usize, usize), (String, Vec<Act>)> {
    let mut known = BTreeSet::new();
    let first = opening.iter().fold(Place::new(), |place, act| {
        place.after(*act, SOUND).expect("nothing is wrong yet").expect("it can be done")
    });
    let mut frontier = vec![(Vec::new(), first)];
    let mut transitions = 0;
    for _ in 0..depth {
        let mut next = Vec::new();
        for (path, place) in frontier {
            for act in acts() {
                let mut way: Vec<Act> = path.clone();
                way.push(act);
                let after = match place.after(act, habits) {
                    Ok(Some(after)) => after,
                    Ok(None) => continue,
                    Err(problem) => return Err((problem, way)),
                };
                transitions += 1;
                if known.insert(after.fingerprint()) {
                    next.push((way, after));
                }
            }
        }
        frontier = next;
    }
    Ok((known.len(), transitions))
}

#[test]
fn whoever_comes_back_late_is_not_listened_to() {
    covers!("REC-20", "REC-21", "REC-24", "REC-26", "REC-27", "D-042", "PAR-06");
    let depth = match std::env::var("MPAC_MODEL_DEPTH").ok().as_deref() {
        None => 4,
        Some("ci") => 6,
        Some(depth) => depth.parse::<usize>().unwrap() + 2,
    };
    let began = std::time::Instant::now();
    match explore(&OPENING, depth, SOUND) {
        Ok((states, transitions)) => println!(
            "succession {depth} deep: {states} states, {transitions} transitions, {:.1} s",
            began.elapsed().as_secs_f64()
        ),
        Err((problem, way)) => panic!("{problem}: {way:?}"),
    }
}

/// Takes every epoch for one higher than all before.
fn hear_everybody(participant: &mut Participant, envelope: &Envelope) -> Hearing {
    let mut envelope = envelope.clone();
    envelope.coordinator_epoch = envelope.coordinator_epoch.map(|_| Integer::new(participant.lamport() + 10));
    hear(participant, &envelope)
}

#[test]
fn a_participant_that_believes_every_epoch_is_found_out() {
    let opening = [&OPENING[..], &[Act::Status(0), Act::Recover(1), Act::Connect(1)]].concat();
    let (problem, way) =
        explore(&opening, 3, Habits { hear: hear_everybody, ..SOUND }).expect_err("it is broken");
    assert!(problem.contains("of epoch 1 after 2: Fresh"), "{problem}: {way:?}");
    assert_eq!(way, [Act::Take(1), Act::Deliver(1), Act::Deliver(0)]);
}

/// Nothing on the wire tells two of them apart: both are `…:epoch-2`. That they do not come about is the store's duty.
#[test]
fn a_store_that_lets_two_take_up_the_same_is_found_out() {
    let (problem, way) =
        explore(&OPENING, 4, Habits { writes_recovery: false, ..SOUND }).expect_err("it is broken");
    assert_eq!(problem, "epoch 2 is taken up twice");
    assert_eq!(way, [Act::Recover(0), Act::Recover(0)]);
}
