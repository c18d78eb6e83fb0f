//! The connection: one task that owns the socket's reading half, the [`Participant`](mpac_core::participant)
//! and the heartbeat timer.
//!
//! What arrives is handed on in the order in which it came; what is to be said is numbered and stamped in the
//! order in which it was given. A second task writes, so that a slow reader at the other end never keeps
//! us from reading. Heartbeats come from a timer of this task, whatever the work is waiting for (LIV-01).

mod dial;
mod pulse;
mod voice;

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use mpac_core::participant::{Hearing, News, Withheld};
use mpac_wire::names::{CoordinatorEvent, HeartbeatStatus};
use mpac_wire::payload::session::{Heartbeat, Hello, SessionInfo};
use mpac_wire::sideband::Request;
use mpac_wire::{IntentId, Message, MessageId, Seconds};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::arrival::{self, Answer, Arrival};
use crate::error::AgentError;
use crate::history::Recorder;

use pulse::Pulse;

pub use dial::{Header, Target};
pub use voice::{Identity, Voice};

/// Coordinators close a connection at a bigger frame (`spec/wire.md` §1.1).
pub const MAX_FRAME_OUT: usize = 1 << 20;
/// The interval when the session does not name one.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(30);
const HEARTBEAT_SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The writing end: messages and requests go out in the order of the calls.
#[derive(Debug, Clone)]
pub struct Link(mpsc::UnboundedSender<Command>);

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    /// Its writing end.
    pub link: Link,
    /// What arrives, in order; the last one is [`Arrival::Ended`].
    pub arrivals: mpsc::UnboundedReceiver<Arrival>,
    /// Ends when everything given is sent and the socket is closed.
    pub writer: JoinHandle<()>,
}

#[derive(Debug)]
enum Command {
    /// Say it, and tell the id it went out under or why it did not.
    Say(Box<Message>, oneshot::Sender<Result<MessageId, Unsaid>>),
    Ask(Request),
    Status(HeartbeatStatus, Option<IntentId>),
    Close,
}

/// Why a message was not sent.
#[derive(Debug)]
enum Unsaid {
    /// It makes a frame of so many bytes.
    TooLarge(usize),
    /// A rule is in the way.
    Withheld(Withheld),
}

impl Link {
    /// Sends a message and returns the id it went out under.
    ///
    /// # Errors
    /// [`AgentError::TooLarge`] and [`AgentError::Withheld`] without sending anything, [`AgentError::Lost`].
    pub async fn say(&self, message: Message, what: &str) -> Result<MessageId, AgentError> {
        let (sent, id) = oneshot::channel();
        self.give(Command::Say(Box::new(message), sent))?;
        match id.await {
            Ok(Ok(id)) => Ok(id),
            Ok(Err(Unsaid::TooLarge(bytes))) => {
                Err(AgentError::TooLarge { what: what.to_owned(), bytes, limit: MAX_FRAME_OUT })
            }
            Ok(Err(Unsaid::Withheld(why))) => Err(AgentError::Withheld { what: what.to_owned(), why }),
            Err(_) => Err(lost()),
        }
    }

    /// Sends a message whose fate does not matter to the work.
    pub fn mention(&self, message: Message) {
        let (sent, _id) = oneshot::channel();
        // If the connection is gone, the next step of the work says so.
        let _ = self.give(Command::Say(Box::new(message), sent));
    }

    /// Sends a sideband request.
    ///
    /// # Errors
    /// [`AgentError::Lost`].
    pub fn ask(&self, request: Request) -> Result<(), AgentError> {
        self.give(Command::Ask(request))
    }

    /// Sets what heartbeats say from now on, and says it at once (PAR-03, LIV-19).
    pub fn status(&self, status: HeartbeatStatus, intent: Option<IntentId>) {
        let _ = self.give(Command::Status(status, intent));
    }

    /// Says what was given so far and closes the socket.
    pub fn close(&self) {
        let _ = self.give(Command::Close);
    }

    fn give(&self, command: Command) -> Result<(), AgentError> {
        self.0.send(command).map_err(|_| lost())
    }
}

fn lost() -> AgentError {
    AgentError::Lost("it is closed".to_owned())
}

/// Opens the socket and starts its tasks.
///
/// # Errors
/// [`AgentError::NobodyThere`], [`AgentError::CannotConnect`].
pub async fn connect(target: &Target, voice: Voice, recorder: Recorder) -> Result<Connection, AgentError> {
    let (sink, stream) = dial::dial(target).await?.split();
    let (frames, outgoing) = mpsc::unbounded_channel();
    let (commands, orders) = mpsc::unbounded_channel();
    // Unbounded on purpose: the work always drains it, also while a model thinks, and stopping to read
    // would make the coordinator drop us.
    let (arrivals, incoming) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write(sink, outgoing));
    let keeper = Keeper {
        voice,
        hello: None,
        recorder,
        frames,
        arrivals,
        status: HeartbeatStatus::Idle,
        intent: None,
        beat: timer(HEARTBEAT_DEFAULT),
        pulse: None,
    };
    tokio::spawn(keeper.run(stream, orders));
    Ok(Connection { link: Link(commands), arrivals: incoming, writer })
}

async fn write(mut sink: dial::SocketSink, mut frames: mpsc::UnboundedReceiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        // The reading task sees the same end and reports it.
        if sink.send(frame).await.is_err() {
            return;
        }
    }
    let _ = sink.close().await;
}

/// The state of the task that keeps the connection.
struct Keeper {
    voice: Voice,
    /// What was said to join, to be said again to another coordinator.
    hello: Option<Hello>,
    recorder: Recorder,
    frames: mpsc::UnboundedSender<Frame>,
    arrivals: mpsc::UnboundedSender<Arrival>,
    status: HeartbeatStatus,
    intent: Option<IntentId>,
    /// When the next heartbeat is due.
    beat: Interval,
    /// The coordinator's, once we have joined.
    pulse: Option<Pulse>,
}

impl Keeper {
    async fn run(mut self, mut stream: dial::SocketStream, mut orders: mpsc::UnboundedReceiver<Command>) {
        let why = loop {
            let silence = self.pulse.as_ref().and_then(Pulse::due);
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Command::Close) | None => break "closed by us".to_owned(),
                    Some(order) => self.carry_out(order),
                },
                frame = stream.next() => match frame {
                    Some(Ok(Frame::Text(text))) => self.take(&text),
                    Some(Ok(Frame::Binary(bytes))) => match str::from_utf8(&bytes) {
                        Ok(text) => self.take(text),
                        Err(_) => self.hand_on(Arrival::Unreadable("a binary frame that is not UTF-8".to_owned())),
                    },
                    Some(Ok(Frame::Close(reason))) => break closed(reason),
                    // Pings are answered by the library.
                    Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => self.beats(false),
                    Some(Err(error)) => break error.to_string(),
                    None => break "the other end closed it".to_owned(),
                },
                _ = self.beat.tick(), if self.pulse.is_some() => self.heartbeat(),
                () = tokio::time::sleep_until(silence.unwrap_or_else(Instant::now)), if silence.is_some() => {
                    if let Some(pulse) = &mut self.pulse {
                        let since = pulse.missed(Instant::now());
                        self.hand_on(Arrival::Silence(Some(since)));
                    }
                }
            }
        };
        self.hand_on(Arrival::Ended(why));
    }

    /// Something came from the coordinator.
    fn beats(&mut self, is_status: bool) {
        if self.pulse.as_mut().is_some_and(|pulse| pulse.beat(is_status, Instant::now())) {
            self.hand_on(Arrival::Silence(None));
        }
    }

    fn carry_out(&mut self, order: Command) {
        match order {
            Command::Say(message, sent) => {
                // Whoever gave a mention does not wait for its id.
                let _ = sent.send(self.say(*message));
            }
            Command::Ask(request) => self.send(request.to_json()),
            Command::Status(status, intent) => {
                let news = self.status != status || self.intent != intent;
                (self.status, self.intent) = (status, intent);
                if news && self.pulse.is_some() {
                    self.heartbeat();
                }
            }
            Command::Close => {}
        }
    }

    fn say(&mut self, message: Message) -> Result<MessageId, Unsaid> {
        if let Message::Hello(hello) = &message {
            self.hello = Some(hello.clone());
        }
        let envelope = self.voice.say(message).map_err(Unsaid::Withheld)?;
        let text = envelope.to_json();
        if text.len() > MAX_FRAME_OUT {
            self.voice.unsent(&envelope.message_id);
            return Err(Unsaid::TooLarge(text.len()));
        }
        self.send(text);
        Ok(envelope.message_id)
    }

    /// What the core wants done at once: HELLO again to another coordinator (REC-23), and a word to rivals (REC-25).
    fn act(&mut self, news: Vec<News>) {
        for item in news {
            let message = match item {
                News::HelloAgain { .. } => self.hello.clone().map(Message::from),
                News::Rival(rival) => Some(rival.to_error().into()),
                _ => None,
            };
            if let Some(message) = message {
                let envelope = self.voice.write(message);
                self.send(envelope.to_json());
            }
        }
    }

    /// The states of files that an answer tells.
    fn note_states(&mut self, answer: &Answer) {
        match answer {
            Answer::Content(file) => self.voice.read(&file.path, file.state_ref.clone()),
            Answer::Files(files) => {
                files.iter().for_each(|file| self.voice.read(&file.path, file.state_ref.clone()));
            }
            Answer::Error(_) | Answer::Unreadable { .. } | Answer::Other => {}
        }
    }

    /// Reads a frame and hands it on. With SESSION_INFO the timers start.
    fn take(&mut self, text: &str) {
        let arrival = arrival::read(text);
        let mut is_status = false;
        if let Arrival::Message(envelope, message) = &arrival {
            let heard = self.voice.hear(envelope, message);
            self.act(heard.news);
            if heard.hearing != Hearing::Fresh {
                return;
            }
            if envelope.sender.principal_id != *self.voice.principal() {
                self.recorder.record(envelope.message_type.as_str(), envelope.sender.principal_id.as_str());
            }
            // Other events come when they happen, also from servers without a rhythm.
            is_status = envelope.coordinator_epoch.is_some()
                && matches!(&**message, Message::CoordinatorStatus(status) if status.event == CoordinatorEvent::Heartbeat);
            if let Message::SessionInfo(info) = &**message {
                self.beat = timer(heartbeat_interval(info));
                self.pulse = Some(Pulse::new(stated_interval(info), Instant::now()));
            }
        }
        if let Arrival::Answer(answer) = &arrival {
            self.note_states(answer);
        }
        self.beats(is_status);
        self.hand_on(arrival);
    }

    fn heartbeat(&mut self) {
        let mut heartbeat = Heartbeat::new(self.status.clone());
        heartbeat.active_intent_id = self.intent.clone();
        let envelope = self.voice.write(heartbeat.into());
        self.send(envelope.to_json());
    }

    fn send(&self, text: String) {
        // A closed writer means a broken socket, which the reading half reports.
        let _ = self.frames.send(Frame::text(text));
    }

    fn hand_on(&self, arrival: Arrival) {
        // Nobody listens any more: the agent is on its way out.
        let _ = self.arrivals.send(arrival);
    }
}

fn timer(interval: Duration) -> Interval {
    let mut timer = tokio::time::interval_at(Instant::now() + interval, interval);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// The session's `heartbeat_interval_sec`, or its default.
fn stated_interval(info: &SessionInfo) -> Duration {
    let policy = info.liveness_policy.as_ref();
    positive(policy.and_then(|policy| policy.heartbeat_interval_sec.as_ref())).unwrap_or(HEARTBEAT_DEFAULT)
}

/// The session's interval, and never so long that two in a row would make us unavailable (LIV-01, LIV-04).
fn heartbeat_interval(info: &SessionInfo) -> Duration {
    let policy = info.liveness_policy.as_ref();
    let patience = positive(policy.and_then(|policy| policy.unavailability_timeout_sec.as_ref()));
    let interval = stated_interval(info);
    patience.map_or(interval, |patience| interval.min(patience / 3)).max(HEARTBEAT_SHORTEST)
}

/// No more than a year, so that adding it to a clock is safe.
fn positive(seconds: Option<&Seconds>) -> Option<Duration> {
    let micros = u64::try_from(seconds?.micros()).ok().filter(|micros| *micros > 0)?;
    Some(Duration::from_micros(micros).min(LONGEST))
}

fn closed(reason: Option<tokio_tungstenite::tungstenite::protocol::CloseFrame>) -> String {
    match reason {
        Some(frame) if frame.reason.is_empty() => format!("close code {}", u16::from(frame.code)),
        Some(frame) => format!("close code {}: {}", u16::from(frame.code), frame.reason),
        None => "the other end closed it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(policy: &str) -> SessionInfo {
        let text = format!(
            r#"{{"session_id":"s","protocol_version":"0.1.13","security_profile":"open","compliance_profile":"core","watermark_kind":"lamport_clock","state_ref_format":"sha256","granted_roles":[]{policy}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn heartbeats_follow_the_session_and_stay_below_its_patience() {
        let interval = |policy: &str| heartbeat_interval(&info(policy)).as_secs_f64();
        assert_eq!(interval(""), 30.0);
        assert_eq!(interval(r#","liveness_policy":{"heartbeat_interval_sec":5.0}"#), 5.0);
        assert_eq!(
            interval(r#","liveness_policy":{"heartbeat_interval_sec":30,"unavailability_timeout_sec":15}"#),
            5.0
        );
        assert_eq!(interval(r#","liveness_policy":{"heartbeat_interval_sec":0}"#), 30.0);
        assert_eq!(interval(r#","liveness_policy":{"unavailability_timeout_sec":0.5}"#), 1.0);
    }
}
