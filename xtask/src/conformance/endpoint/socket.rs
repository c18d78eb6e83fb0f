//! A coordinator over WebSocket, in real time.
//!
//! Nothing waits for a fixed time to see whether something still comes. After every step each connection asks for a file that
//! does not exist: a coordinator that handles a connection's frames in order answers behind everything that the step brought.
//! Where the sideband is not spoken, quiet of a given length takes that place.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mpac_wire::Timestamp;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::super::cast;
use super::super::story::Local;
use super::server::Running;
use super::{Endpoint, Event, Setup, Trouble, What};

/// How long an answer may take before the coordinator counts as stuck.
const ANSWER: Duration = Duration::from_secs(5);

/// How it is known that a step is over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fence {
    /// A question whose answer comes behind everything else.
    Sideband,
    /// Nothing has come for this long.
    Quiet(Duration),
}

/// The connections of one story.
pub(super) struct Socket {
    url: String,
    fence: Fence,
    opened: Instant,
    /// Seconds since then, as the story counts them.
    at: f64,
    conns: BTreeMap<String, WebSocket<TcpStream>>,
    probes: u64,
    /// Whose frames are left where they are.
    deaf: BTreeSet<String>,
    /// Lives as long as the story: a server that was started for it.
    server: Option<Running>,
}

/// How long a server may take to stop.
const STOP: Duration = Duration::from_secs(10);

impl Socket {
    pub(super) fn new(url: String, fence: Fence, server: Option<Running>) -> Self {
        Self {
            url,
            fence,
            opened: Instant::now(),
            at: 0.0,
            conns: BTreeMap::new(),
            probes: 0,
            deaf: BTreeSet::new(),
            server,
        }
    }

    fn sends(&mut self, conn: &str, message: Message) -> Result<Vec<Event>, Trouble> {
        self.connect(conn)?;
        if let Some(socket) = self.conns.get_mut(conn) {
            // A coordinator that closes the connection meanwhile is judged by what it closes it with.
            let _ = socket.send(message);
        }
        self.settle(Some(conn))
    }

    fn connect(&mut self, conn: &str) -> Result<(), Trouble> {
        if self.conns.contains_key(conn) {
            return Ok(());
        }
        let broken = |problem: String| Trouble::Broken(format!("{}: {problem}", self.url));
        let stream = TcpStream::connect(address(&self.url)).map_err(|error| broken(error.to_string()))?;
        let prepared = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(ANSWER)));
        let prepared = prepared.and_then(|()| stream.set_write_timeout(Some(ANSWER)));
        prepared.map_err(|error| broken(error.to_string()))?;
        // `alice@b` comes to a session beside the story's, `alice@/path` to whatever is there.
        let url = match conn.split_once('@') {
            Some((_, path)) if path.starts_with('/') => format!("ws://{}{path}", address(&self.url)),
            Some((_, other)) => format!("{}-{other}", self.url),
            None => self.url.clone(),
        };
        let (socket, _) =
            tungstenite::client(url.as_str(), stream).map_err(|error| broken(error.to_string()))?;
        self.conns.insert(conn.to_owned(), socket);
        Ok(())
    }

    /// Everything that came until the step is over; the asking connection first, since the others hear through it.
    fn settle(&mut self, first: Option<&str>) -> Result<Vec<Event>, Trouble> {
        let mut names: Vec<String> =
            self.conns.keys().filter(|name| !self.deaf.contains(*name)).cloned().collect();
        names.sort_by_key(|name| Some(name.as_str()) != first);
        let mut events = Vec::new();
        for name in names {
            match self.fence {
                Fence::Sideband => self.ask(&name, &mut events)?,
                Fence::Quiet(length) => self.listen(&name, length, &mut events)?,
            }
        }
        Ok(events)
    }

    fn ask(&mut self, conn: &str, events: &mut Vec<Event>) -> Result<(), Trouble> {
        self.probes += 1;
        let path = format!("conformance-probe/{}", self.probes);
        let question = json!({"type": "FILE_READ", "path": path}).to_string();
        let Some(socket) = self.conns.get_mut(conn) else { return Ok(()) };
        // A connection that is being closed cannot ask; what it still has to say is read.
        let _ = socket.send(Message::text(question));
        let until = Instant::now() + ANSWER;
        loop {
            match self.next(conn, until)? {
                Some(What::Frame(text)) if is_answer(&text, &path) => return Ok(()),
                Some(what) => {
                    let over = matches!(what, What::Closed(_));
                    events.push(Event { conn: conn.to_owned(), what });
                    if over {
                        return Ok(());
                    }
                }
                None => {
                    return Err(Trouble::Broken(format!(
                        "no answer to a sideband request on {conn} for {ANSWER:?}; without a sideband give --quiet-ms"
                    )));
                }
            }
        }
    }

    fn listen(&mut self, conn: &str, length: Duration, events: &mut Vec<Event>) -> Result<(), Trouble> {
        let most = Instant::now() + ANSWER.max(length);
        loop {
            if Instant::now() >= most {
                return Err(Trouble::Broken(format!("{conn} is never quiet for {length:?}")));
            }
            match self.next(conn, Instant::now() + length)? {
                Some(what) => {
                    let over = matches!(what, What::Closed(_));
                    events.push(Event { conn: conn.to_owned(), what });
                    if over {
                        return Ok(());
                    }
                }
                None => return Ok(()),
            }
        }
    }

    /// The next frame or the end of a connection; none by `until`.
    fn next(&mut self, conn: &str, until: Instant) -> Result<Option<What>, Trouble> {
        use tungstenite::Error;
        loop {
            let Some(socket) = self.conns.get_mut(conn) else { return Ok(None) };
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let timed = socket.get_ref().set_read_timeout(Some(left));
            timed.map_err(|error| Trouble::Broken(error.to_string()))?;
            match socket.read() {
                Ok(Message::Text(text)) => return Ok(Some(What::Frame(text.to_string()))),
                Ok(Message::Binary(bytes)) => {
                    return Ok(Some(What::Frame(String::from_utf8_lossy(&bytes).into_owned())));
                }
                Ok(Message::Close(frame)) => {
                    // 1005: a close frame without a code.
                    let code = frame.map_or(1005, |frame| u16::from(frame.code));
                    self.conns.remove(conn);
                    return Ok(Some(What::Closed(code)));
                }
                Ok(_) => {}
                // Interrupted by a signal to this process: nothing that the other end did.
                Err(Error::Io(error))
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) =>
                {
                    if Instant::now() >= until {
                        return Ok(None);
                    }
                }
                // 1006: gone without a close frame.
                Err(_) => {
                    self.conns.remove(conn);
                    return Ok(Some(What::Closed(1006)));
                }
            }
        }
    }
}

/// `host:port` of a `ws://` URL.
fn address(url: &str) -> String {
    let host = url.strip_prefix("ws://").and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { host.to_owned() } else { format!("{host}:80") }
}

fn is_answer(text: &str, path: &str) -> bool {
    serde_json::from_str::<Value>(text)
        .is_ok_and(|value| value["type"] == "FILE_ERROR" && value["path"] == path)
}

impl Endpoint for Socket {
    /// The session opens with its first HELLO, or is there; that somebody listens is known now.
    fn open(&mut self, _: &Setup<'_>) -> Result<(), Trouble> {
        let listens = TcpStream::connect(address(&self.url));
        listens.map_err(|error| Trouble::Broken(format!("{}: {error}", self.url)))?;
        self.opened = Instant::now();
        Ok(())
    }

    fn advance(&mut self, seconds: f64) -> Result<Vec<Event>, Trouble> {
        if seconds <= self.at {
            return Ok(Vec::new());
        }
        self.at = seconds;
        let until = self.opened + Duration::from_secs_f64(seconds);
        std::thread::sleep(until.saturating_duration_since(Instant::now())); // the story asks for time to pass
        // Also where the steps before took longer than that: what fell due meanwhile is this step's.
        self.settle(None)
    }

    fn now(&self) -> Timestamp {
        cast::wall_clock()
    }

    fn send(&mut self, conn: &str, frame: &str) -> Result<Vec<Event>, Trouble> {
        self.sends(conn, Message::text(frame))
    }

    fn send_binary(&mut self, conn: &str, frame: &str) -> Result<Vec<Event>, Trouble> {
        self.sends(conn, Message::binary(frame.as_bytes().to_vec()))
    }

    fn disconnect(&mut self, conn: &str) -> Result<Vec<Event>, Trouble> {
        if let Some(mut socket) = self.conns.remove(conn) {
            // The other end may be gone already.
            let _ = socket.close(None);
            let _ = socket.flush();
            let _ = socket.get_ref().set_read_timeout(Some(Duration::from_millis(500)));
            while socket.read().is_ok() {}
        }
        self.settle(None)
    }

    fn deafen(&mut self, conn: &str) -> Result<(), Trouble> {
        self.deaf.insert(conn.to_owned());
        Ok(())
    }

    fn local(&mut self, local: &Local) -> Result<Vec<Event>, Trouble> {
        if let (Local::Stop, Some(server)) = (local, &mut self.server) {
            server.peer.interrupt(STOP).map_err(|failure| Trouble::Broken(failure.to_string()))?;
            let mut events = Vec::new();
            for name in self.conns.keys().cloned().collect::<Vec<_>>() {
                self.listen(&name, STOP, &mut events)?;
            }
            return Ok(events);
        }
        Err(Trouble::Skip(format!("{local:?} cannot be asked for over a socket")))
    }

    fn snapshot(&mut self) -> Result<Option<Value>, Trouble> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_url_need_not_name_a_port() {
        for (url, expected) in [
            ("ws://h:8766/session/s", "h:8766"),
            ("ws://h/session/s", "h:80"),
            ("ws://[::1]:8?x=1", "[::1]:8"),
            ("ws://[::1]", "[::1]:80"),
        ] {
            assert_eq!(address(url), expected);
        }
    }

    #[test]
    fn a_server_that_hangs_up_during_the_opening_breaks_the_story_only() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || drop(listener.accept()));
        let mut socket = Socket::new(url.clone(), Fence::Sideband, None);
        let outcome = socket.send("alice", "{}");
        server.join().unwrap();
        assert!(
            matches!(&outcome, Err(Trouble::Broken(problem)) if problem.starts_with(&url)),
            "{outcome:?}"
        );
    }

    /// Says what is due to everybody who is connected, and answers no question.
    fn talkative() -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            std::thread::sleep(Duration::from_millis(150));
            socket.send(Message::text("{}")).unwrap();
            while socket.read().is_ok() {}
        });
        url
    }

    #[test]
    fn what_fell_due_while_the_steps_before_took_their_time_is_heard() {
        let mut socket = Socket::new(talkative(), Fence::Quiet(Duration::from_millis(50)), None);
        assert_eq!(socket.send("alice", "{}").unwrap(), []);
        std::thread::sleep(Duration::from_millis(300)); // a slow machine
        let due = Event { conn: "alice".to_owned(), what: What::Frame("{}".to_owned()) };
        assert_eq!(socket.advance(0.1).unwrap(), [due]);
        assert_eq!(socket.advance(0.1).unwrap(), [], "no time passes");
    }
}
