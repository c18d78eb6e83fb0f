//! The sender, with channels in place of a socket.

use std::convert::Infallible;
use std::pin::pin;

use futures::SinkExt;
use futures::channel::mpsc::{self, Receiver, Sender};
use mpac_core::SessionConfig;
use mpac_wire::{SessionId, Timestamp};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::control::dial::Target;
use crate::control::token::Token;
use crate::store::Durability;
use crate::store::entry::{Entry, Start};
use crate::store::log::Log;
use crate::store::media::Files;

/// A data directory of sessions with one entry each.
struct Rig {
    data: TempDir,
    source: Source,
    logs: Vec<Log>,
}

/// The other end of a connection.
struct Far {
    says: Sender<Result<Message, Infallible>>,
    hears: Receiver<Message>,
    sending: JoinHandle<Result<(), Ended>>,
}

fn entry(seed: u64) -> Entry {
    let config = SessionConfig::new(SessionId::new("s").unwrap());
    Entry::Open(Start::new(&config, seed, Timestamp::from_micros(1)).unwrap())
}

fn place(run: u64) -> Place {
    Place { name: "s".to_owned(), run }
}

fn standby() -> Follower {
    Follower::Standby { address: "there".to_owned(), after_silence: false }
}

impl Rig {
    fn of(sessions: u64) -> Self {
        let data = tempfile::tempdir().unwrap();
        let source = Source {
            data: data.path().to_owned(),
            durable: Durable::default(),
            workspace: Arc::default(),
            heartbeat_interval: Seconds::whole(1),
            hub: Hub::default(),
        };
        let logs = (1..=sessions).map(|run| begun(&source, run)).collect();
        Self { data, source, logs }
    }

    /// A follower that has said what it has, over a connection that holds a few frames.
    async fn follow(&self, role: Follower) -> Far {
        self.follow_with(role, Vec::new()).await
    }

    async fn follow_with(&self, role: Follower, has: Vec<Has>) -> Far {
        let (to, hears) = mpsc::channel(2);
        let (says, from) = mpsc::channel(2);
        let sending = tokio::spawn(Sending::new(self.source.clone(), Wire::new(to, from)).run());
        let mut far = Far { says, hears, sending };
        let hello = Up::Hello { version: VERSION, role, id: None, has, contents: BTreeSet::new() };
        far.say(&hello).await;
        far
    }
}

fn begun(source: &Source, run: u64) -> Log {
    let dir = place(run).below(&source.data.join("sessions")).unwrap();
    std::fs::create_dir_all(&dir).unwrap();
    let log = Log::create(Box::new(Files::new(dir)), Durability::Os).unwrap();
    let mut log = log.reporting(&source.durable);
    log.append(&[entry(1)]).unwrap();
    log
}

impl Far {
    async fn say(&mut self, up: &Up) {
        let text = serde_json::to_string(up).unwrap();
        self.says.send(Ok(Message::text(text))).await.unwrap();
    }

    async fn next(&mut self) -> Down {
        let line = match self.hears.next().await {
            Some(Message::Text(text)) => text.to_string(),
            Some(Message::Binary(bytes)) => {
                let line = bytes.split(|&byte| byte == b'\n').next().unwrap();
                String::from_utf8(line.to_vec()).unwrap()
            }
            other => panic!("{other:?}"),
        };
        serde_json::from_str(&line).unwrap()
    }

    /// What it is told the next time that everything was sent.
    async fn standing(&mut self) -> Table {
        loop {
            if let Down::Standing { at } = self.next().await {
                return at;
            }
        }
    }
}

#[tokio::test]
async fn a_session_that_is_not_there_keeps_nobody_from_the_others() {
    let rig = Rig::of(2);
    std::fs::remove_dir_all(rig.data.path().join("sessions/s/1")).unwrap();
    let mut far = rig.follow(Follower::Backup).await;
    assert_eq!(far.standing().await, Table::from([("s/2".to_owned(), 1)]));
}

#[tokio::test]
async fn a_standby_that_has_not_heard_the_last_record_does_not_go_on() {
    // What the sender sees first of what comes at once is chance.
    for round in 0..40 {
        let mut rig = Rig::of(1);
        let mut far = rig.follow(standby()).await;
        far.standing().await;
        rig.logs[0].append(&[entry(2)]).unwrap();
        far.say(&Up::Ack { of: place(1), n: 1 }).await;
        let mut successor = pin!(rig.source.hub.successor());
        loop {
            tokio::select! {
                biased;
                found = &mut successor => panic!("round {round}: {found:?} lacks a record"),
                down = far.next() => if let Down::Ended { at } = down {
                    assert_eq!(at, Table::from([("s/1".to_owned(), 2)]));
                    break;
                }
            }
        }
        far.say(&Up::Ack { of: place(1), n: 2 }).await;
        assert!(successor.await.is_some());
        far.sending.abort();
    }
}

#[tokio::test]
async fn a_standby_hears_who_is_still_to_be_told_and_a_backup_no_secret() {
    let rig = Rig::of(1);
    let target = Target::new("ws://before:1", Token::given("secret"));
    fencing::note(rig.data.path(), &target).unwrap();
    for (role, expected) in [(standby(), "[ws://before:1]"), (Follower::Backup, "[]")] {
        let Down::Server { before, .. } = rig.follow(role).await.next().await else { panic!("it greets") };
        assert_eq!(format!("{before:?}"), expected);
    }
}

#[tokio::test]
async fn one_that_is_in_use_and_damaged_keeps_nobody_from_the_others_and_is_handed_to_nobody() {
    let mut rig = Rig::of(2);
    let segment = rig.data.path().join("sessions/s/1/00000000000000000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let mut far = rig.follow(standby()).await;
    let damaged = loop {
        if let Down::Damaged { of, reason } = far.next().await {
            break (of, reason);
        }
    };
    assert_eq!(damaged, (place(1), "entry 1 of the log cannot be read".to_owned()));
    assert_eq!(far.standing().await, Table::from([("s/2".to_owned(), 1)]));
    rig.logs[1].append(&[entry(2)]).unwrap();
    let until = Table::from([("s/2".to_owned(), 2)]);
    while far.standing().await != until {}
    let told = rig.source.hub.followers(&Ends::new());
    assert_eq!(told, ["the standby for there: 0 entries behind, without s/1, which is damaged"]);
    far.say(&Up::Ack { of: place(2), n: 2 }).await;
    assert!(rig.source.hub.choose("there").unwrap_err().contains("session s/1 is damaged"));
    assert_eq!(timeout(Duration::from_secs(5), rig.source.hub.successor()).await, Ok(None));
}

#[tokio::test]
async fn what_a_follower_has_from_before_counts_where_it_is_the_same() {
    let rig = Rig::of(2);
    let at = rig.logs[0].end();
    let other = Position { n: 1, sum: "0".repeat(64) };
    let has = vec![Has { of: place(1), at }, Has { of: place(2), at: other }];
    let mut far = rig.follow_with(standby(), has).await;
    far.standing().await;
    let told = rig.source.hub.followers(&rig.source.ends()).concat();
    assert_eq!(told, "the standby for there: 1 entries behind");
}

#[tokio::test]
async fn a_follower_that_does_not_read_while_it_speaks_is_heard() {
    let rig = Rig::of(20);
    let following = async {
        let mut far = rig.follow(standby()).await;
        // As one does that has much from before.
        for run in 1..=20 {
            far.say(&Up::Ack { of: place(run), n: 0 }).await;
        }
        loop {
            match far.next().await {
                Down::Records { of } => far.say(&Up::Ack { of, n: 1 }).await,
                Down::Standing { .. } => break,
                _ => {}
            }
        }
        let told = || rig.source.hub.followers(&rig.source.ends()).concat();
        while told() != "the standby for there: 0 entries behind" {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), following).await.expect("each waits for the other");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn of_what_was_sent_nothing_stays_open() {
    let rig = Rig::of(3);
    let mut far = rig.follow(Follower::Backup).await;
    far.standing().await;
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    let open = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    assert_eq!(open.filter(|path| path.starts_with(rig.data.path())).count(), 3, "those that write");
}
