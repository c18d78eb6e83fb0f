//! From the port to a connection that speaks HTTP: how many there may be, how long each may take, and TLS under it.

pub(crate) mod attempts;
pub(crate) mod descriptors;
pub(crate) mod doors;
mod guarded;
pub(crate) mod self_signed;
pub(crate) mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::extract::ws::Message;
use axum::serve::{IncomingStream, Listener};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use self::doors::{Doors, Full, Pass};
use self::guarded::Seen;
pub(crate) use self::guarded::{Endless, Guarded};
use self::tls::Tls;
use crate::metrics::Meters;
use crate::metrics::limit::Limit;

/// Handshakes that are done and wait to be taken.
const READY: usize = 64;
/// Until the next try when the system has no more sockets.
const PAUSE: Duration = Duration::from_millis(200);

/// What a control frame of a client has beside its bytes: two of head, and the mask.
const CONTROL: u64 = 6;

/// Takes connections off a port; each makes its handshake beside the others.
#[derive(Debug)]
pub(crate) struct Port {
    ready: mpsc::Receiver<(Guarded<Socket>, Peer)>,
    accepting: JoinHandle<()>,
}

/// The other end of a connection, as the transport knows it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The certificate that it has the key of.
    pub(crate) certificate: Option<CertificateDer<'static>>,
    /// Where it is; the port itself is nowhere.
    pub(crate) from: Option<IpAddr>,
    seen: Option<Seen>,
}

/// A connection in the clear, or in TLS.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Port {
    /// Connections to `listener` from now on, in TLS if there is a `tls`, as many as `doors` lets in; TLS and the HTTP request
    /// behind it have `within` each.
    pub(crate) fn open(
        listener: TcpListener,
        tls: Option<Tls>,
        (doors, meters): (Arc<Doors>, Meters),
        within: Duration,
    ) -> Self {
        let (done, ready) = mpsc::channel(READY);
        let accepting = tokio::spawn(accept(listener, (tls.map(Arc::new), within), (doors, meters), done));
        Self { ready, accepting }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for Port {
    type Io = Guarded<Socket>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The other task never ends by itself: nobody comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(Peer { certificate: None, from: None, seen: None })
    }
}

impl Connected<IncomingStream<'_, Port>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Port>) -> Self {
        stream.remote_addr().clone()
    }
}

impl Peer {
    /// The request before the upgrade has been read: from here on its own time limits hold.
    pub(crate) fn seen(&self) {
        if let Some(seen) = &self.seen {
            seen.tell();
        }
    }

    /// From here on a message costs so many bytes at the most.
    pub(crate) fn counts(&self, most: u64) {
        if let Some(seen) = &self.seen {
            seen.counts(most);
        }
    }

    /// This has come, and what it cost is known to belong to it.
    pub(crate) fn came(&self, message: &Message) {
        let Some(seen) = &self.seen else { return };
        match message {
            Message::Text(_) | Message::Binary(_) => seen.message(),
            Message::Ping(bytes) | Message::Pong(bytes) => seen.beside(CONTROL + bytes.len() as u64),
            Message::Close(_) => {}
        }
    }
}

/// Some systems tell of a connection that was reset before it was taken.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(error.kind(), E::ConnectionRefused | E::ConnectionAborted | E::ConnectionReset)
}

async fn accept(
    listener: TcpListener,
    (tls, within): (Option<Arc<Tls>>, Duration),
    (doors, meters): (Arc<Doors>, Meters),
    done: mpsc::Sender<(Guarded<Socket>, Peer)>,
) {
    loop {
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Of one connection, which somebody took back, or for want of sockets: neither is a reason to stop listening, and
                // only the second one to wait.
                if !is_of_one_connection(&error) {
                    warn!("a connection could not be accepted: {error}");
                    sleep(PAUSE).await;
                }
                continue;
            }
        };
        // Frames are small and people wait for them; a socket that cannot be told so works all the same.
        let _ = socket.set_nodelay(true);
        match doors.enter(from.ip()) {
            Ok(pass) => {
                let (tls, done, meters) = (tls.clone(), done.clone(), meters.clone());
                tokio::spawn(async move {
                    let shaken = timeout(
                        within,
                        shake(socket, from, (tls.as_deref(), within), (pass, meters.clone())),
                    )
                    .await;
                    match shaken {
                        // The server has stopped when nobody takes it.
                        Ok(Ok(connection)) => drop(done.send(connection).await),
                        Ok(Err(error)) => debug!("{from}: no TLS: {error}"),
                        Err(_) => {
                            meters.reached(Limit::Handshake);
                            debug!("{from}: no TLS within {} s", within.as_secs());
                        }
                    }
                });
            }
            Err(full) => {
                meters.reached(full.limit());
                let in_the_clear = tls.is_none();
                tokio::spawn(turn_away(socket, full, in_the_clear));
            }
        }
    }
}

async fn shake(
    socket: TcpStream,
    from: SocketAddr,
    (tls, within): (Option<&Tls>, Duration),
    (pass, meters): (Pass, Meters),
) -> io::Result<(Guarded<Socket>, Peer)> {
    let (socket, certificate) = match tls {
        None => (Socket::Plain(socket), None),
        Some(tls) => {
            let stream = tls.accept(socket).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let certificate = shown.map(|certificate| certificate.clone().into_owned());
            (Socket::Tls(Box::new(stream)), certificate)
        }
    };
    let (guarded, seen) = Guarded::new(socket, within, (pass, meters));
    Ok((guarded, Peer { certificate, from: Some(from.ip()), seen: Some(seen) }))
}

/// Says why, where that costs nothing: an answer inside TLS would cost more than the connection that is refused.
async fn turn_away(mut socket: TcpStream, full: Full, in_the_clear: bool) {
    debug!("a connection was turned away: {full}");
    if !in_the_clear {
        return;
    }
    let body = format!("{full}\n");
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: {}\r\nConnection: close\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{body}",
        full.retry_after_sec(),
        body.len()
    );
    // Whoever does not take it is not waited for.
    let _ = timeout(Duration::from_secs(1), socket.write_all(answer.as_bytes())).await;
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Self::Tls(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
        }
    }
}
