//! Takeovers that are asked for, while a server is there that says what it is told to.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request as HttpRequest, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use mpac_core::SessionConfig;
use mpac_wire::{SessionId, Timestamp};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::*;
use crate::ask;
use crate::cli::standby::{Rest, Standby, TakeOver};
use crate::control::serve::{self, Operator};
use crate::control::token::Token;
use crate::control::{self, Status};
use crate::error::Error;
use crate::follow::{Down, Place, Table, Up, VERSION};
use crate::store::Durability;
use crate::store::entry::{Entry, Start};
use crate::store::log::Log;
use crate::store::media::Files;
use crate::workspace::Workspace;

/// What the server saw.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Follower,
    Ack(u64),
    HandOver,
    /// Somebody came while its door was closed.
    TurnedAway,
}

/// A server, from its inside.
#[derive(Clone)]
struct Fake {
    token: Token,
    /// Whether its door is open to those who command.
    is_open: Arc<AtomicBool>,
    seen: mpsc::UnboundedSender<Seen>,
    /// What it says to its follower; with `None` the connection ends.
    says: Arc<Mutex<mpsc::UnboundedReceiver<Option<Down>>>>,
    answers: Arc<Mutex<mpsc::UnboundedReceiver<Answer>>>,
}

impl Operator for Fake {
    fn token(&self) -> Option<&Token> {
        Some(&self.token)
    }

    async fn command(&self, _: Request) -> Answer {
        self.seen.send(Seen::HandOver).unwrap();
        self.answers.lock().await.recv().await.unwrap()
    }

    async fn follow(self, mut socket: WebSocket) {
        socket.recv().await.unwrap().unwrap();
        self.seen.send(Seen::Follower).unwrap();
        let mut says = self.says.lock().await;
        loop {
            tokio::select! {
                said = says.recv() => {
                    let Some(Some(down)) = said else { return };
                    let text = serde_json::to_string(&down).unwrap();
                    socket.send(Message::text(text)).await.unwrap();
                }
                heard = socket.recv() => {
                    let Some(Ok(Message::Text(text))) = heard else { return };
                    let Up::Ack { n, .. } = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
                    self.seen.send(Seen::Ack(n)).unwrap();
                }
            }
        }
    }
}

async fn answer(
    State(fake): State<Fake>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: HttpRequest,
) -> Response {
    if !fake.is_open.load(Ordering::SeqCst) {
        fake.seen.send(Seen::TurnedAway).unwrap();
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    serve::answer(upgrade, (request.uri().path(), request.headers()), fake)
}

/// A server, and the standby that follows it, whose copy is complete from before: a session of one entry.
struct Rig {
    data: TempDir,
    standby: Option<(Following, Desk)>,
    is_open: Arc<AtomicBool>,
    seen: mpsc::UnboundedReceiver<Seen>,
    says: mpsc::UnboundedSender<Option<Down>>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().to_owned();
        let session = of().below(&data.join("sessions")).unwrap();
        std::fs::create_dir_all(&session).unwrap();
        let config = SessionConfig::new(SessionId::new("s").unwrap());
        let start = Start::new(&config, 1, Timestamp::from_micros(1)).unwrap();
        let mut log = Log::create(Box::new(Files::new(session)), Durability::Os).unwrap();
        log.append(&[Entry::Open(start)]).unwrap();
        drop(log);
        let token = Token::given(&"a".repeat(64));
        let ((seen_by, seen), is_open) = (mpsc::unbounded_channel(), Arc::new(AtomicBool::new(true)));
        let ((says, said), (answers, answered)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let (says_to, answers_to) = (Arc::new(Mutex::new(said)), Arc::new(Mutex::new(answered)));
        let fake = Fake {
            token: token.clone(),
            is_open: Arc::clone(&is_open),
            seen: seen_by,
            says: says_to,
            answers: answers_to,
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        tokio::spawn(
            async move { axum::serve(listener, Router::new().fallback(answer).with_state(fake)).await },
        );
        let options = ["--from", &url, "--data-dir", "unused"].map(Into::into).to_vec();
        let options = Standby::read(&Rest { options }).unwrap();
        let mark = Elsewhere { why: Why::Standby, server: url.clone(), epochs: Default::default() };
        let desk = Desk::open(&data, &mark, token.clone()).await.unwrap();
        let following = Following {
            target: Target::new(&url, token),
            role: Follower::Standby { address: "ws://here:1".to_owned(), after_silence: false },
            held: Held::new(open(data.clone()).await.unwrap()),
            data,
            mark,
            silence: Silence::new(None),
            template: Arc::new(Template::new(&options.server, Workspace::default()).unwrap()),
            said: Said::default(),
            ending: false,
        };
        Self { data: dir, standby: Some((following, desk)), is_open, seen, says, answers }
    }

    fn mark(&self) -> Why {
        Elsewhere::read(self.data.path()).unwrap().unwrap().why
    }

    fn says(&self, down: Down) {
        self.says.send(Some(down)).unwrap();
    }

    /// Somebody follows, and has everything.
    async fn is_followed(&mut self) {
        self.greets().await;
        self.stands();
        assert_eq!(self.seen.recv().await, Some(Seen::Ack(1)));
    }

    async fn greets(&mut self) {
        assert_eq!(self.seen.recv().await, Some(Seen::Follower));
        self.says(Down::Server {
            version: VERSION,
            id: "it".to_owned(),
            program: "a program".to_owned(),
            heartbeat_interval_us: 1,
            before: serde_json::from_str(r#"[{"server": "ws://before:1", "token": "t"}]"#).unwrap(),
        });
    }

    fn stands(&self) {
        self.says(Down::Standing { at: Table::from([(of().to_string(), 1)]) });
    }
    /// Begins to follow, until it ends.
    fn follows(&mut self) -> JoinHandle<Result<End, String>> {
        let (mut following, desk) = self.standby.take().unwrap();
        tokio::spawn(async move {
            let mut never = std::pin::pin!(std::future::pending());
            following.run(&mut never, &desk).await
        })
    }

    /// What an operator does.
    fn wants_it(&self) -> JoinHandle<Result<String, Error>> {
        let options = TakeOver { data_dir: self.data.path().to_owned() };
        tokio::spawn(async move { ask::take_over(&options).await })
    }

    async fn is_asked(&mut self, answer: Answer) {
        assert_eq!(self.seen.recv().await, Some(Seen::HandOver));
        self.answers.send(answer).unwrap();
    }
}

fn of() -> Place {
    Place { name: "s".to_owned(), run: 1 }
}

fn done() -> Answer {
    Answer::Done { text: "handing over".to_owned() }
}

#[tokio::test]
async fn a_server_that_is_there_is_asked_for_its_sessions_once_all_of_it_is_here() {
    let mut rig = Rig::new().await;
    // Before anybody has heard whether the server is there.
    let desk = control::of(rig.data.path()).unwrap().unwrap();
    assert!(matches!(desk.ask(&Request::TakeOver {}).await, Ok(Answer::Done { .. })));
    let following = rig.follows();
    let hands_over = async {
        rig.is_followed().await;
        rig.is_asked(done()).await;
        rig.says(Down::Ended { at: Table::from([(of().to_string(), 1)]) });
        rig.says(Down::Released { epochs: Default::default(), beside: vec!["ws://beside:1".to_owned()] });
        std::future::pending::<()>().await;
    };
    tokio::select! {
        end = following => assert_eq!(end.unwrap(), Ok(End::Released)),
        () = hands_over => {}
    }
    let pending = fencing::pending(rig.data.path()).unwrap();
    assert_eq!(format!("{pending:?}"), "[ws://before:1]", "whoever has the sessions goes on telling");
    assert_eq!(rig.mark(), Why::Given, "whatever becomes of the start");
    assert_eq!(fencing::beside(rig.data.path()).unwrap(), ["ws://beside:1"]);
}

#[tokio::test]
async fn what_was_given_is_gone_on_with_unless_its_server_has_it_again() {
    let mut rig = Rig::new().await;
    rig.standby.as_mut().unwrap().0.mark.why = Why::Given;
    let following = rig.follows();
    let has_them = Status {
        role: Role::Server,
        program: "a program".to_owned(),
        sessions: Default::default(),
        followers: Vec::new(),
        refused: None,
        instance: None,
        tells: false,
        told: Vec::new(),
    };
    rig.is_asked(Answer::Status(has_them)).await;
    rig.is_followed().await;
    assert_eq!(rig.mark(), Why::Standby);
    following.abort();

    let mut rig = Rig::new().await;
    let (following, _) = rig.standby.as_mut().unwrap();
    following.mark.why = Why::Given;
    following.target = Target::new("ws://127.0.0.1:1", Token::given("t"));
    assert_eq!(rig.follows().await.unwrap(), Ok(End::Released), "nobody is there");
}

#[tokio::test]
async fn nothing_is_taken_from_a_server_that_keeps_its_sessions_until_it_is_gone() {
    let mut rig = Rig::new().await;
    let mut following = rig.follows();
    let keeps_them = async {
        rig.is_followed().await;
        let wanted = rig.wants_it();
        rig.is_asked(Answer::Refused { reason: "not now".to_owned() }).await;
        let refused = wanted.await.unwrap().unwrap_err().to_string();
        assert!(refused.contains("not now; nothing is taken"), "{refused}");
        // It would, and ends before everything of it is here.
        let wanted = rig.wants_it();
        rig.is_asked(done()).await;
        rig.says.send(None).unwrap();
        let refused = wanted.await.unwrap().unwrap_err().to_string();
        assert!(refused.contains("has not handed over"), "{refused}");
        rig.is_followed().await;
        // It cannot be asked, but says something still.
        rig.is_open.store(false, Ordering::SeqCst);
        let wanted = rig.wants_it();
        let mut speaks = tokio::time::interval(QUIET / 16);
        for _ in 0..24 {
            speaks.tick().await;
            rig.stands();
        }
        wanted.abort();
    };
    tokio::select! {
        end = &mut following => panic!("{end:?}"),
        () = keeps_them => {}
    }
    assert_eq!(following.await.unwrap(), Ok(End::Taken));
}

#[tokio::test]
async fn whoever_answers_is_there_whatever_the_answer() {
    let mut rig = Rig::new().await;
    let following = rig.follows();
    let is_there = async {
        rig.is_followed().await;
        rig.is_open.store(false, Ordering::SeqCst);
        rig.says.send(None).unwrap();
        assert_eq!(rig.seen.recv().await, Some(Seen::TurnedAway));
        let _wanted = rig.wants_it();
        for _ in 0..3 {
            assert_eq!(rig.seen.recv().await, Some(Seen::TurnedAway));
        }
        rig.is_open.store(true, Ordering::SeqCst);
        while rig.seen.recv().await != Some(Seen::Follower) {}
    };
    tokio::select! {
        end = following => panic!("{end:?}"),
        () = is_there => {}
    }
}

#[tokio::test]
async fn nothing_is_taken_while_somebody_else_answers_who_may_be_the_server() {
    let mut rig = Rig::new().await;
    let (mut following, desk) = rig.standby.take().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    // As one with another certificate does.
    let url = format!("wss://{}#sha256:{}", listener.local_addr().unwrap(), "ab".repeat(32));
    following.target = Target::new(&url, Token::given("t"));
    following.silence = Silence::new(Some(Duration::from_millis(500)));
    following.silence.counts();
    let mut never = std::pin::pin!(std::future::pending());
    let mut ends = std::pin::pin!(following.run(&mut never, &desk));
    let answers = async {
        for _ in 0..3 {
            let mut stream = listener.accept().await.unwrap().0;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
            // What is not read would end the connection early.
            tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        }
    };
    tokio::select! {
        end = &mut ends => panic!("{end:?}"),
        () = answers => {}
    }
    drop(listener);
    assert_eq!(ends.await, Ok(End::Taken), "nobody answers");
}

#[tokio::test]
async fn what_is_here_of_another_log_is_not_acknowledged() {
    let mut rig = Rig::new().await;
    let following = rig.follows();
    rig.is_followed().await;
    rig.says.send(None).unwrap();
    rig.greets().await;
    rig.says(Down::Anew { of: of(), behind: 0, from: Vec::new(), backlog: 0 });
    rig.says(Down::Standing { at: Table::from([(of().to_string(), 0)]) });
    assert_eq!(rig.seen.recv().await, Some(Seen::Ack(0)), "what came instead, and nothing before that");
    following.abort();
}
