//! The listener: handshakes, `/healthz`, and a stop that tells everybody.

mod handover;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use futures::{StreamExt, TryStreamExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tracing::{error, info, warn};

use crate::banner::{self, Served};
use crate::cli::Settings;
use crate::control::Published;
use crate::control::serve;
use crate::control::token::Token;
use crate::error::Error;
use crate::follow::hub::Hub;
use crate::operator::Door;
use crate::outbox::{QueueLimits, outbox};
use crate::registry::Registry;
use crate::sideband;
use crate::socket::{self, Lost, SocketLimits, Times};
use crate::workspace::Workspace;
use crate::workspace::load::{Limits, Progress, Skipped, load};

/// Bytes that may wait for one connection, whatever their number of frames.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// A frame up to this many times too large is read whole and refused with 1009; one beyond is refused at its first bytes,
/// and its sender may see a reset instead of the reason.
const OVERSIZE: usize = 4;
/// Between two lines about a workspace that takes long to load.
const PROGRESS: Duration = Duration::from_secs(1);

/// A server that listens and has not begun to answer.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    listener: TcpListener,
    address: SocketAddr,
    registry: Arc<Registry>,
    skipped: Vec<Skipped>,
    /// Held until the end.
    published: Option<Published>,
}

/// What every handshake needs.
#[derive(Clone)]
struct Shared {
    registry: Arc<Registry>,
    settings: Arc<Settings>,
    door: Door,
    /// Upgraded by each connection for as long as it lasts, so that the stop can wait for the last of them.
    open: mpsc::WeakSender<()>,
}

impl Server {
    /// Loads the workspace, takes the port, and opens the configured session and those that are stored. Can be dropped
    /// meanwhile.
    ///
    /// # Errors
    /// What is wrong with the directory, the session's configuration or the address, each with its remedy.
    pub async fn bind(settings: Settings) -> Result<Self, Error> {
        let max_frame = settings.max_frame_bytes as usize;
        let (workspace, skipped) = shared(&settings).await?;
        for file in &skipped {
            warn!("not shared: {} ({})", file.path, file.reason);
        }
        if !sideband::list_fits(&workspace, max_frame) {
            warn!(
                "the list of all files fits into no frame, so FILE_LIST will be answered `too large`: share fewer"
            );
        }
        let bind = |source| Error::Bind { host: settings.host.clone(), port: settings.port, source };
        let listener = TcpListener::bind((settings.host.as_str(), settings.port)).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        // Last, because it starts a task: an error above has nothing to stop.
        let opening = spawn_blocking({
            let settings = settings.clone();
            move || Registry::open(&settings, workspace)
        });
        let failed = |error| Error::Io { step: "opening the sessions", source: std::io::Error::other(error) };
        let registry = Arc::new(opening.await.map_err(failed)??);
        let published = published(&registry, address)?;
        Ok(Self { settings, listener, address, registry, skipped, published })
    }

    /// Where it listens, with the port that was taken.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to print once it runs.
    #[must_use]
    pub fn banner(&self) -> String {
        banner::banner(&Served {
            settings: &self.settings,
            session: self.registry.configured(),
            workspace: self.registry.workspace(),
            skipped: &self.skipped,
            address: self.address,
            stored: self.registry.data_dir(),
            reachable_as: banner::outward_address(self.address.ip()),
        })
    }

    /// Serves until `stop` completes; then hands over every session that is stored (`handover`, close code 4002), to a standby
    /// where one follows, closes the others (SESSION_CLOSE, 1001) and returns. SRV-12, REC-20.
    ///
    /// # Errors
    /// [`Error::Io`] when the listener fails, [`Error::Unwritten`] when accepted commits could not be written back,
    /// [`Error::DiskFull`] when there was no room for the log: then it has stopped as it does when asked to.
    /// [`Error::Fenced`] when another server took the sessions over.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        if let Some(warning) = banner::warning(&self.settings, self.address) {
            warn!("{warning}");
        }
        let (open, mut all_closed) = mpsc::channel(1);
        let hub = Hub::default();
        let failed = |source| Error::Io { step: "opening the control door", source };
        let door = Door::new(&self.registry, &hub, open.downgrade()).map_err(failed)?;
        let mut asked = door.asked();
        let _published = self.published.take();
        let _alone = Aborted(tokio::spawn(door.clone().stay_alone()));
        let _fencing = Aborted(tokio::spawn(door.clone().fence_before(format!("ws://{}", self.address))));
        let shared = Shared {
            registry: Arc::clone(&self.registry),
            settings: Arc::new(self.settings),
            door,
            open: open.downgrade(),
        };
        let app = Router::new().fallback(answer).with_state(shared);
        let listener = self.listener.tap_io(|socket| {
            // Frames are small and people wait for them; a socket that cannot be told so works all the same.
            let _ = socket.set_nodelay(true);
        });
        let (stopped, stopping) = oneshot::channel::<()>();
        let mut serving = tokio::spawn(
            axum::serve(listener, app)
                .with_graceful_shutdown(async {
                    // Either way round it is time to stop.
                    let _ = stopping.await;
                })
                .into_future(),
        );
        let mut full = None;
        tokio::select! {
            result = &mut serving => return ended(result),
            () = stop => info!("stopping: telling everybody"),
            dir = self.registry.disk_full() => {
                error!("the disk of {} is full: stopping, and telling everybody", dir.display());
                full = Some(dir);
            }
            // The door lives as long as the server.
            _ = asked.changed() => {}
        }
        drop(stopped);
        let ended = handover::end(&self.registry, &hub, &asked).await;
        drop(open);
        // A peer that never reads its close frame is given up by its connection; this is for what nobody thought of.
        let _ = timeout(2 * Times::default().close_within, all_closed.recv()).await;
        // Whatever is left is half a handshake.
        serving.abort();
        match (full, ended) {
            (Some(dir), Err(Error::Unwritten(unwritten))) => {
                for file in unwritten {
                    // They are in the log, and the next start tries again.
                    warn!("{:?} is not in the directory yet: {}", file.path, file.reason);
                }
                Err(Error::DiskFull(dir))
            }
            (Some(dir), Ok(())) => Err(Error::DiskFull(dir)),
            (_, ended) => ended,
        }
    }
}

/// Where sessions are stored, local commands find the server by its data directory.
fn published(registry: &Registry, address: SocketAddr) -> Result<Option<Published>, Error> {
    let Some(data) = registry.data_dir() else { return Ok(None) };
    let published = Token::of(data).and_then(|token| Published::new(data, address, &token));
    published.map(Some).map_err(|source| Error::DataDir { path: data.to_owned(), source })
}

/// A task that ends with its server.
struct Aborted(tokio::task::JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The files that a server with these settings shares, and those in the directory that it does not.
pub(crate) async fn shared(settings: &Settings) -> Result<(Workspace, Vec<Skipped>), Error> {
    let limits = Limits { frame: settings.max_frame_bytes as usize, total: settings.max_workspace_bytes };
    match &settings.workspace {
        Some(dir) => read(dir.clone(), limits).await,
        None => Ok((Workspace::default(), Vec::new())),
    }
}

/// Loads the workspace beside the runtime, and says how far that is while it takes long.
async fn read(dir: PathBuf, limits: Limits) -> Result<(Workspace, Vec<Skipped>), Error> {
    let progress = Abandoned::default();
    let mut loading = spawn_blocking({
        let (dir, progress) = (dir.clone(), Arc::clone(&progress.0));
        move || load(&dir, &limits, &progress)
    });
    loop {
        if let Ok(loaded) = timeout(PROGRESS, &mut loading).await {
            return loaded.unwrap_or_else(|error| Err(Error::workspace(&dir, std::io::Error::other(error))));
        }
        let (files, bytes) = progress.0.so_far();
        info!("loading {}: {files} files with {bytes} bytes so far", dir.display());
    }
}

/// Ends a loading that nobody waits for any more.
#[derive(Default)]
struct Abandoned(Arc<Progress>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn ended(result: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), Error> {
    let step = "serving";
    match result {
        Ok(served) => served.map_err(|source| Error::Io { step, source }),
        Err(panic) => Err(Error::Io { step, source: std::io::Error::other(panic) }),
    }
}

/// Every path: a WebSocket handshake, the health check, or a browser that lost its way.
async fn answer(
    State(shared): State<Shared>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    uri: Uri,
    request: Request,
) -> Response {
    if uri.path().starts_with(serve::PATH) {
        return serve::answer(upgrade, (uri.path(), request.headers()), shared.door);
    }
    match upgrade {
        Ok(upgrade) if !origin_allowed(request.headers(), &shared.settings.allow_origin) => {
            drop(upgrade);
            let text = "pages of this origin may not connect; the server's --allow-origin lets them\n";
            (StatusCode::FORBIDDEN, text).into_response()
        }
        Ok(upgrade) => {
            let max = shared.settings.max_frame_bytes as usize * OVERSIZE;
            upgrade
                .max_message_size(max)
                .max_frame_size(max)
                .on_upgrade(async move |socket| connection(socket, uri.path(), shared).await)
        }
        Err(_) if uri.path() == "/healthz" => "ok\n".into_response(),
        Err(_) => {
            let text = "This is an MPAC coordinator. Agents join it over WebSocket; /healthz says whether it is up.\n";
            (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], text).into_response()
        }
    }
}

/// Only browsers send an origin, and they let any page connect anywhere: without this check a page that somebody has open
/// could read and change the files shared on that machine.
fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    headers.get(header::ORIGIN).is_none_or(|origin| {
        let same =
            |allowed: &String| allowed.eq_ignore_ascii_case(&String::from_utf8_lossy(origin.as_bytes()));
        allowed.iter().any(same)
    })
}

async fn connection(mut socket: WebSocket, path: &str, shared: Shared) {
    // None when the server is stopping, which the registry then says.
    let open = shared.open.upgrade();
    let settings = &shared.settings;
    let (outbox, queue) = outbox(QueueLimits { frames: settings.queue_frames as usize, bytes: QUEUE_BYTES });
    let link = match shared.registry.join(path, outbox.clone()).await {
        Ok(link) => link,
        Err(refused) => {
            let frame = CloseFrame { code: refused.code(), reason: refused.to_string().into() };
            // The peer may be gone already; there is nobody else to tell.
            let _ = socket.send(Message::Close(Some(frame))).await;
            let _ = timeout(Times::default().close_within, socket.for_each(async |_| ())).await;
            return;
        }
    };
    let limits = SocketLimits {
        max_frame: settings.max_frame_bytes as usize,
        rate_per_sec: settings.rate_per_sec,
        rate_burst: settings.rate_burst,
        times: Times::default(),
    };
    let (sink, stream) = socket.split();
    socket::run(stream.map_err(lost), sink, (outbox, queue), limits, &link).await;
    drop(open);
}

fn lost(error: axum::Error) -> Lost {
    match error.into_inner().downcast::<tungstenite::Error>().as_deref() {
        Ok(tungstenite::Error::Capacity(_)) => Lost::TooLarge,
        Ok(tungstenite::Error::Utf8(_)) => Lost::NotText,
        Ok(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
            Lost::Gone
        }
        Ok(tungstenite::Error::Protocol(_)) => Lost::Protocol,
        _ => Lost::Gone,
    }
}
