//! The task that keeps the connection, while there is a socket.

use futures::{SinkExt as _, StreamExt as _};
use mpac_core::participant::{Hearing, News};
use mpac_wire::names::{CoordinatorEvent, HeartbeatStatus};
use mpac_wire::payload::session::Hello;
use mpac_wire::{Envelope, IntentId, Message, MessageId, MessageType};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval};
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};

use super::MAX_FRAME_OUT;
use super::breaks::Break;
use super::dial::{Socket, SocketSink, SocketStream};
use super::link::{Command, Unsaid};
use super::pulse::{Missed, Pulse};
use super::rhythm::{HEARTBEAT_DEFAULT, heartbeat_interval, stated_interval, timer};
use super::route::Route;
use super::voice::Voice;
use crate::arrival::{self, Answer, Arrival, TrustNews};
use crate::history::Recorder;
use crate::witness::Direction;

/// What to do at some time, whatever else happens; a branch of a `select!` that is not taken without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Why the task stops reading a socket.
pub(super) enum End {
    /// It was told to.
    Closed,
    Broken(Break),
}

/// A break that has not ended.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) since: Instant,
    /// Attempts since then.
    pub(super) attempts: u32,
    /// The HELLO said on the new socket, and until when its answer is waited for.
    pub(super) hello: Option<(MessageId, Instant)>,
}

/// The state of the task.
pub(super) struct Keeper {
    pub(super) route: Route,
    /// The address in use.
    pub(super) at: usize,
    pub(super) voice: Voice,
    /// What was said to join, to be said again to another coordinator.
    pub(super) hello: Option<Hello>,
    recorder: Recorder,
    /// To the writer, while there is a socket.
    frames: Option<mpsc::UnboundedSender<Frame>>,
    arrivals: mpsc::UnboundedSender<Arrival>,
    status: HeartbeatStatus,
    intent: Option<IntentId>,
    /// When the next heartbeat is due.
    beat: Interval,
    /// The coordinator's, once we have joined.
    pulse: Option<Pulse>,
    /// Until when a silent coordinator has to answer a ping.
    probe: Option<Instant>,
    pub(super) outage: Option<Outage>,
    /// Something that was read makes the connection useless.
    pub(super) verdict: Option<Break>,
    /// The HELLO that the work gave, by the id that it knows, and by that under which it was said last.
    pub(super) greeting: Option<(MessageId, MessageId)>,
}

impl Keeper {
    pub(super) fn new(
        route: Route,
        at: usize,
        (voice, recorder): (Voice, Recorder),
        arrivals: mpsc::UnboundedSender<Arrival>,
    ) -> Self {
        Self {
            route,
            at,
            voice,
            hello: None,
            recorder,
            frames: None,
            arrivals,
            status: HeartbeatStatus::Idle,
            intent: None,
            beat: timer(HEARTBEAT_DEFAULT),
            pulse: None,
            probe: None,
            outage: None,
            verdict: None,
            greeting: None,
        }
    }

    pub(super) async fn run(mut self, mut socket: Socket, mut orders: mpsc::UnboundedReceiver<Command>) {
        loop {
            let (sink, stream) = socket.split();
            let (frames, outgoing) = mpsc::unbounded_channel();
            self.frames = Some(frames);
            let writer = tokio::spawn(write(sink, outgoing));
            self.greet_again();
            match self.serve(stream, &mut orders).await {
                End::Closed => {
                    self.hand_on(Arrival::Ended("closed by us".to_owned()));
                    self.frames = None;
                    // It ends once everything is sent; a panic in it is its own.
                    let _ = writer.await;
                    return;
                }
                End::Broken(broken) => {
                    self.let_go(&writer);
                    match self.come_back(broken, &mut orders).await {
                        Ok(opened) => socket = opened,
                        Err(why) => return self.hand_on(Arrival::Ended(why)),
                    }
                }
            }
        }
    }

    /// The socket is of no use any more.
    fn let_go(&mut self, writer: &JoinHandle<()>) {
        writer.abort();
        (self.frames, self.pulse, self.probe) = (None, None, None);
        self.voice.connection_lost();
    }

    async fn serve(
        &mut self,
        mut stream: SocketStream,
        orders: &mut mpsc::UnboundedReceiver<Command>,
    ) -> End {
        loop {
            if let Some(verdict) = self.verdict.take() {
                return End::Broken(verdict);
            }
            // A ping that is not answered has its own time.
            let silence = self.pulse.as_ref().filter(|_| self.probe.is_none()).map(Pulse::due);
            let welcome = self.outage.as_ref().and_then(|outage| Some(outage.hello.as_ref()?.1));
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Command::Close) | None => return End::Closed,
                    Some(order) => self.carry_out(order),
                },
                frame = stream.next() => match frame {
                    Some(Ok(frame)) => if let Some(broken) = self.take_frame(frame) {
                        return End::Broken(broken);
                    },
                    Some(Err(error)) => return End::Broken(Break::of_error(&error)),
                    None => return End::Broken(Break::of_close(None)),
                },
                _ = self.beat.tick(), if self.pulse.is_some() => self.heartbeat(),
                () = at(silence) => if let Some(broken) = self.is_silent() {
                    return End::Broken(broken);
                },
                () = at(self.probe) => {
                    return End::Broken(Break::Again("no sign of life, and no answer to a ping".to_owned()));
                }
                () = at(welcome) => {
                    return End::Broken(Break::Again("somebody listens, but does not answer HELLO".to_owned()));
                }
            }
        }
    }

    fn take_frame(&mut self, frame: Frame) -> Option<Break> {
        self.probe = None;
        match frame {
            Frame::Text(text) => self.take(&text),
            Frame::Binary(bytes) => match str::from_utf8(&bytes) {
                Ok(text) => self.take(text),
                Err(_) => self.hand_on(Arrival::Unreadable("a binary frame that is not UTF-8".to_owned())),
            },
            Frame::Close(reason) => return Some(Break::of_close(reason)),
            // Pings are answered by the library.
            Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => self.beats(false),
        }
        None
    }

    /// REC-05. That the connection is broken shows when a ping is not answered either.
    fn is_silent(&mut self) -> Option<Break> {
        let pulse = self.pulse.as_mut()?;
        let (now, patience) = (Instant::now(), pulse.patience());
        match pulse.missed(now) {
            Missed::Fell(since) => self.hand_on(Arrival::Silence(Some(since))),
            Missed::Still => {}
            Missed::TooLong(since) => {
                let why = format!("pings are answered, and no status has come for {} s", since.as_secs());
                return Some(Break::Elsewhere(why));
            }
        }
        self.probe = Some(now + patience);
        self.send_frame(Frame::Ping(Bytes::new()));
        None
    }

    /// Something came from the coordinator.
    fn beats(&mut self, is_status: bool) {
        if self.pulse.as_mut().is_some_and(|pulse| pulse.beat(is_status, Instant::now())) {
            self.hand_on(Arrival::Silence(None));
        }
    }

    /// Also while there is no socket: then nothing goes out, and what had to is refused.
    pub(super) fn carry_out(&mut self, order: Command) {
        match order {
            Command::Say { message, again, sent } => {
                // Whoever gave a mention does not wait for its id.
                let _ = sent.send(self.say(*message, again));
            }
            Command::Ask(request) => self.send(&request.to_json()),
            Command::ReportBreak => {
                if let Some(envelope) = self.voice.report_break() {
                    self.post(envelope);
                }
            }
            Command::Presence(intent, tell) => {
                // Who asked may have stopped waiting.
                let _ = tell.send(self.voice.presence(&intent));
            }
            Command::Forget(lost) => {
                self.voice.forget_operations(&lost);
                if let Some(hello) = self.hello.clone() {
                    let envelope = self.voice.hello_again(hello);
                    self.post(envelope);
                }
            }
            Command::Status { status, intent, always } => {
                let news = always || self.status != status || self.intent != intent;
                (self.status, self.intent) = (status, intent);
                if news && self.pulse.is_some() {
                    self.heartbeat();
                }
            }
            Command::Health(health) => {
                if self.voice.model_is(*health) && self.pulse.is_some() {
                    self.heartbeat();
                }
            }
            Command::RotateKey(tell) => {
                // As above.
                let _ = tell.send(self.rotate_key());
            }
            Command::Look(look) => look.at(self.voice.participant()),
            Command::Close => {}
        }
    }

    fn say(&mut self, message: Message, again: bool) -> Result<MessageId, Unsaid> {
        if let Message::Hello(hello) = &message {
            self.hello = Some(hello.clone());
        }
        let said = if again { self.voice.repeat(message) } else { self.voice.say(message) };
        let envelope = said.map_err(Unsaid::Withheld)?;
        let (id, is_hello) = (envelope.message_id.clone(), envelope.message_type == MessageType::Hello);
        let sealed = self.voice.seal(envelope).map_err(Unsaid::Unsignable);
        match sealed.and_then(|text| {
            if text.len() > MAX_FRAME_OUT { Err(Unsaid::TooLarge(text.len())) } else { Ok(text) }
        }) {
            Ok(text) => self.send(&text),
            Err(why) => {
                self.voice.unsent(&id);
                return Err(why);
            }
        }
        if is_hello {
            self.greeting = Some((id.clone(), id.clone()));
        }
        Ok(id)
    }

    /// The states of files that an answer tells.
    fn note_states(&mut self, answer: &Answer) {
        match answer {
            Answer::Content(file) => self.voice.read(&file.path, file.state_ref.clone()),
            Answer::Files(files) => {
                files.iter().for_each(|file| self.voice.read(&file.path, file.state_ref.clone()));
            }
            Answer::Error(_) | Answer::Unreadable { .. } => {}
        }
    }

    /// Reads a frame and hands it on.
    fn take(&mut self, text: &str) {
        self.record(Direction::Received, text);
        let mut arrival = arrival::read(text);
        let mut is_status = false;
        match &mut arrival {
            Arrival::Message(envelope, message) => {
                let before = self.voice.epoch();
                let heard = self.voice.hear(text, envelope, message);
                if self.greets_by_another_key(&heard.news) {
                    return;
                }
                self.act(envelope, message, &heard.news);
                if heard.hearing != Hearing::Fresh {
                    return self.not_ours(envelope, message, heard.hearing);
                }
                if envelope.sender.principal_id != *self.voice.principal() {
                    self.recorder
                        .record(envelope.message_type.as_str(), envelope.sender.principal_id.as_str());
                }
                // Other events come when they happen, also from servers without a rhythm.
                is_status = envelope.coordinator_epoch.is_some()
                    && matches!(&**message, Message::CoordinatorStatus(it) if it.event == CoordinatorEvent::Heartbeat);
                self.look_for_welcome(message, before, &heard.news);
                self.answers_the_greeting(message);
            }
            Arrival::Answer(answer) => self.note_states(answer),
            Arrival::Summary(summary) => {
                // The work reads it as well.
                let _ = self.voice.hear_summary(summary);
            }
            _ => {}
        }
        self.beats(is_status);
        self.hand_on(arrival);
    }

    /// With SESSION_INFO the timers start, and a break ends.
    fn look_for_welcome(&mut self, message: &Message, epoch_before: u64, news: &[News]) {
        let Message::SessionInfo(info) = message else { return };
        self.beat = timer(heartbeat_interval(info));
        self.pulse = Some(Pulse::new(stated_interval(info), Instant::now()));
        let is_admitted = news.iter().any(|item| matches!(item, News::Admitted { .. }));
        if is_admitted && let Some(outage) = self.outage.take() {
            let back = arrival::Back {
                after: outage.since.elapsed(),
                epochs: (epoch_before, self.voice.epoch()),
                url: (self.route.targets.len() > 1).then(|| self.route.targets[self.at].url()),
            };
            self.hand_on(Arrival::Back(back));
            self.heartbeat();
        }
    }

    fn heartbeat(&mut self) {
        let envelope = self.voice.beat(self.status.clone(), self.intent.clone());
        self.post(envelope);
    }

    /// Sends a message that the core wrote by itself.
    pub(super) fn post(&mut self, envelope: Envelope) {
        // What the core writes can be signed: it quotes nobody. A message that could not would be missed, and asked for again.
        if let Ok(text) = self.voice.seal(envelope) {
            self.send(&text);
        }
    }

    fn send(&mut self, text: &str) {
        if self.frames.is_some() {
            self.record(Direction::Sent, text);
        }
        self.send_frame(Frame::text(text));
    }

    fn record(&mut self, direction: Direction, text: &str) {
        if let Some(why) = self.recorder.frame(direction, text) {
            self.hand_on(Arrival::Trust(TrustNews::NotRecorded { why }));
        }
    }

    fn send_frame(&self, frame: Frame) {
        if let Some(frames) = &self.frames {
            // A closed writer means a broken socket, which the reading half reports.
            let _ = frames.send(frame);
        }
    }

    pub(super) fn hand_on(&self, arrival: Arrival) {
        // Nobody listens any more: the agent is on its way out.
        let _ = self.arrivals.send(arrival);
    }
}

async fn write(mut sink: SocketSink, mut frames: mpsc::UnboundedReceiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        // The reading task sees the same end and reports it.
        if sink.send(frame).await.is_err() {
            return;
        }
    }
    let _ = sink.close().await;
}
