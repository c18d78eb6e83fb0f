//! Sockets by hand: a WebSocket client that says whatever it is told to, because a library would be too polite.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::step::Failure;

/// A server that says nothing for so long is stuck.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// The key of every client's frames: it hides nothing, it only has to be there.
const MASK: [u8; 4] = [7, 77, 177, 27];
/// First bytes of frames.
pub(super) const TEXT: u8 = 0x81;
pub(super) const TEXT_BEGINS: u8 = 0x01;
pub(super) const GOES_ON: u8 = 0x00;
pub(super) const CLOSE: u8 = 0x88;
pub(super) const PING: u8 = 0x89;

/// Bytes to and from a server, in the clear or in TLS.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// # Errors
    /// Nobody listens there.
    pub(super) fn dial(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Self, Failure> {
        let stream = plain(address)?;
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let name = ServerName::from(address.ip());
        let connection = ClientConnection::new(Arc::clone(config), name)
            .map_err(|error| Failure::check(format!("no TLS client: {error}")))?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    const fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// Everything that comes until the other end closes; a reset is an end too.
    ///
    /// # Errors
    /// Nothing ends within the limit.
    pub(super) fn rest(&mut self) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        let mut some = [0; 4096];
        loop {
            match self.read(&mut some) {
                Ok(0) => return Ok(all),
                Ok(count) => all.extend_from_slice(&some[..count]),
                Err(error) if is_silence(&error) => {
                    return Err(Failure::check(format!(
                        "the connection is open after {} s",
                        ANSWER.as_secs()
                    )));
                }
                Err(_) => return Ok(all),
            }
        }
    }
}

/// A connection without TLS and without a word.
///
/// # Errors
/// Nobody listens there.
pub(super) fn plain(address: SocketAddr) -> Result<TcpStream, Failure> {
    let prepared = TcpStream::connect(address).and_then(|stream| {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        Ok(stream)
    });
    prepared.map_err(Failure::io(format!("connect to {address}")))
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// What comes over a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Text(String),
    Pong,
    /// The close frame's code.
    Close(u16),
    /// The connection is over, and nobody said why.
    End,
}

/// A WebSocket after its handshake.
pub(super) struct Socket {
    wire: Wire,
}

impl Socket {
    /// Asks for a WebSocket at `path`, with more header lines; gives the head of the answer too.
    ///
    /// # Errors
    /// No answer, or another one than 101.
    pub(super) fn open(mut wire: Wire, path: &str, headers: &[&str]) -> Result<(Self, String), Failure> {
        let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        );
        wire.write_all(request.as_bytes()).map_err(Failure::io("ask for a WebSocket"))?;
        let head = head(&mut wire)?;
        if head.starts_with("HTTP/1.1 101 ") {
            Ok((Self { wire }, head))
        } else {
            Err(Failure::check(format!("no WebSocket at {path:?}: {head}")))
        }
    }

    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.frame(TEXT, text.as_bytes())
    }

    /// A frame of any kind, as a client has to send it.
    pub(super) fn frame(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        self.raw(&frame(first, payload))
    }

    /// Bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)?;
        self.wire.flush()
    }

    /// Ends the connection without a goodbye.
    pub(super) fn cut(&self) {
        // It may be over already.
        let _ = self.wire.stream().shutdown(Shutdown::Both);
    }

    /// The next frame; pings are answered on the way.
    ///
    /// # Errors
    /// Nothing comes within the limit.
    pub(super) fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            let (first, payload) = match self.next_frame() {
                Ok(read) => read,
                Err(error) if is_silence(&error) => {
                    return Err(Failure::check(format!("nothing came for {} s", ANSWER.as_secs())));
                }
                Err(_) => return Ok(Heard::End),
            };
            match first & 0x0f {
                0x1 => return Ok(Heard::Text(String::from_utf8_lossy(&payload).into_owned())),
                0x8 => {
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    // Whoever has closed may be gone.
                    let _ = self.frame(CLOSE, &payload);
                    return Ok(Heard::Close(code));
                }
                0x9 => drop(self.frame(0x8a, &payload)),
                0xa => return Ok(Heard::Pong),
                other => return Err(Failure::check(format!("a server sent a frame of kind {other}"))),
            }
        }
    }

    fn next_frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.wire.read_exact(&mut head)?;
        let length = match head[1] {
            126 => {
                let mut bytes = [0; 2];
                self.wire.read_exact(&mut bytes)?;
                u64::from(u16::from_be_bytes(bytes))
            }
            127 => {
                let mut bytes = [0; 8];
                self.wire.read_exact(&mut bytes)?;
                u64::from_be_bytes(bytes)
            }
            short => u64::from(short),
        };
        let mut payload = Vec::new();
        (&mut self.wire).take(length).read_to_end(&mut payload)?;
        if payload.len() as u64 == length {
            Ok((head[0], payload))
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// The code of the close frame that ends this connection, whatever comes before it; 0 where it ends without one.
    ///
    /// # Errors
    /// It does not end.
    pub(super) fn end(&mut self) -> Result<u16, Failure> {
        loop {
            match self.next()? {
                Heard::Close(code) => return Ok(code),
                Heard::End => return Ok(0),
                Heard::Text(_) | Heard::Pong => {}
            }
        }
    }
}

/// The bytes of one masked frame.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The head of a masked frame that says it is so long.
pub(super) fn header(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => bytes.push(0x80 | short),
        (_, Ok(medium)) => {
            bytes.push(0x80 | 126);
            bytes.extend(medium.to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes
}

/// What comes before the empty line of an HTTP answer.
fn head(wire: &mut Wire) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") && bytes.len() < 16_384 {
        let mut one = [0];
        match wire.read(&mut one) {
            Ok(0) => break,
            Ok(_) => bytes.push(one[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Io { doing: "read an answer".to_owned(), source: error }),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
