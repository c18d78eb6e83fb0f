//! The listener: handshakes, `/healthz`, and a stop that tells everybody.

mod handover;

use std::future::{Future, pending};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt};
use mpac_wire::Seconds;
use mpac_wire::names::SecurityProfile;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tracing::{error, info, warn};

use crate::banner::{self, Served};
use crate::cli::{Security, Settings};
use crate::control::token::Token;
use crate::control::{Published, Service, serve};
use crate::error::Error;
use crate::fencing;
use crate::follow::hub::Hub;
use crate::listen::descriptors;
use crate::listen::doors::Doors;
use crate::listen::tls::Tls;
use crate::listen::{Endless, Peer, Port, self_signed};
use crate::metrics::limit::Limit;
use crate::metrics::serve::Metered;
use crate::operator::Door;
use crate::outbox::{Outbox, QueueLimits, outbox};
use crate::registry::{Registry, Seat};
use crate::sideband;
use crate::socket::{self, Lost, SocketLimits, Times};
use crate::store::place;
use crate::workspace::load::{Limits, Progress, Skipped, load};
use crate::workspace::{Workspace, secrets};

/// Bytes that may wait for one connection, whatever their number of frames.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// A frame up to this many times too large is read whole and refused with 1009; one beyond is refused at its first bytes,
/// and its sender may see a reset instead of the reason.
const OVERSIZE: usize = 4;
/// Bytes that each connection reads at a time and holds room for while it is idle; the library's 128 KiB were nine tenths of
/// what one cost (`cargo xtask bench sessions`).
const READ_BUFFER: usize = 8 * 1024;
/// Between two lines about a workspace that takes long to load.
const PROGRESS: Duration = Duration::from_secs(1);

/// A server that listens and has not begun to answer.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    listener: TcpListener,
    tls: Option<Tls>,
    address: SocketAddr,
    registry: Arc<Registry>,
    skipped: Vec<Skipped>,
    /// Held until the end.
    published: Option<Published>,
    metered: Option<Metered>,
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
            warn!("not shared: {:?} ({})", file.path, file.reason);
        }
        for name in secrets::of(&workspace) {
            warn!(
                "{name:?} looks like a secret and is shared with all who join: a .gitignore file that names it leaves it out"
            );
        }
        if !sideband::list_fits(&workspace, max_frame) {
            warn!(
                "the list of all files fits into no frame, so FILE_LIST will be answered `too large`: share fewer"
            );
        }
        let bind = |source| Error::Bind { host: settings.host.clone(), port: settings.port, source };
        let listener = TcpListener::bind((settings.host.as_str(), settings.port)).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        may_listen(&settings, address.ip())?;
        let tls = tls(&settings, address.ip())?;
        let metered = match settings.guards.metrics_listen {
            Some(at) => Some(Metered::bind(at).await?),
            None => None,
        };
        let shares = workspace.dir().and_then(Path::to_str).map(str::to_owned);
        // Last, because it starts a task: an error above has nothing to stop.
        let opening = spawn_blocking({
            let settings = settings.clone();
            move || Registry::open(&settings, workspace)
        });
        let failed = |error| Error::Io { step: "opening the sessions", source: std::io::Error::other(error) };
        let registry = Arc::new(opening.await.map_err(failed)??);
        let security_profile = settings.security.security_profile.clone();
        let service = Service { listens: address, security_profile, shares };
        let published =
            published(&registry, url(tls.as_ref(), &banner::local(address).to_string()), service)?;
        Ok(Self { settings, listener, tls, address, registry, skipped, published, metered })
    }

    /// Where it listens, with the port that was taken.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its metrics are, with the port that was taken.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metered.as_ref().map(Metered::address)
    }

    /// Where other servers reach it, with the fingerprint of its certificate.
    fn url(&self) -> String {
        url(self.tls.as_ref(), &self.address.to_string())
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
            pin: self.tls.as_ref().map(Tls::fingerprint),
            signs_with: self.registry.signing_key(),
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
        let beside = self.registry.data_dir().map(fencing::beside).transpose();
        let hub = Hub::among(
            beside
                .map_err(|source| Error::Io { step: "reading who stands beside", source })?
                .unwrap_or_default(),
        );
        let failed = |source| Error::Io { step: "opening the control door", source };
        let door = Door::new(&self.registry, &hub, open.downgrade()).map_err(failed)?;
        let orders = door.orders();
        let _published = self.published.take();
        let _alone = Aborted(tokio::spawn(door.clone().stay_alone()));
        let fencing = Aborted(tokio::spawn(door.clone().fence_before(self.url())));
        let security = &self.settings.security;
        let within = Duration::from_secs(security.handshake_within_sec.into());
        let metered = self.metered.take();
        let _metered = metered.map(|it| Aborted(tokio::spawn(it.run(Arc::clone(&self.registry), within))));
        let shared = Shared {
            registry: Arc::clone(&self.registry),
            settings: Arc::new(self.settings.clone()),
            door,
            open: open.downgrade(),
        };
        let app = Router::new().fallback(answer).layer(map_response(serve::once)).with_state(shared);
        let most = descriptors::connections(security.max_connections);
        let doors = Doors::new(most, security.max_connections_per_address);
        let meters = self.registry.meters().clone();
        let port = Port::open(self.listener, self.tls, (doors, meters), within);
        let app = app.into_make_service_with_connect_info::<Peer>();
        let (stopped, stopping) = oneshot::channel::<()>();
        let mut serving = tokio::spawn(
            axum::serve(port, app)
                .with_graceful_shutdown(async {
                    // Either way round it is time to stop.
                    let _ = stopping.await;
                })
                .into_future(),
        );
        let mut full = None;
        tokio::select! {
            result = &mut serving => return ended(result),
            () = self.registry.watch() => {}
            () = stop => info!("stopping: telling everybody"),
            dir = self.registry.disk_full() => {
                error!("the disk of {} is full: stopping, and telling everybody", dir.display());
                full = Some(dir);
            }
            () = orders.ends() => {}
        }
        drop(stopped);
        // Whoever gets the sessions tells from then on.
        drop(fencing);
        let ended = handover::end(&self.registry, &hub, &orders).await;
        drop(open);
        // A peer that never reads its close frame is given up by its connection; this is for what nobody thought of.
        let _ = timeout(2 * Times::default().close_within, all_closed.recv()).await;
        // Whatever is left is half a handshake.
        serving.abort();
        match (full, ended) {
            (Some(dir), Err(Error::Unwritten { files, .. })) => {
                for file in files {
                    // They are in the log, and the next start tries again where that can help.
                    let yet = if file.for_good { "" } else { " yet" };
                    warn!("{:?} is not in the directory{yet}: {}", file.path, file.reason);
                }
                Err(Error::DiskFull(dir))
            }
            (Some(dir), Ok(())) => Err(Error::DiskFull(dir)),
            (_, ended) => ended,
        }
    }
}

/// Where sessions are stored, local commands find the server by its data directory.
fn published(registry: &Registry, url: String, service: Service) -> Result<Option<Published>, Error> {
    let Some(data) = registry.data_dir() else { return Ok(None) };
    let published = Token::of(data).and_then(|token| Published::new(data, url, &token, Some(service)));
    published.map(Some).map_err(|source| Error::DataDir { path: data.to_owned(), source })
}

/// A task that ends with its server.
struct Aborted(tokio::task::JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An open session is for this machine, unless somebody says that they know better; a verified one is read by nobody between.
pub(crate) fn may_listen(settings: &Settings, at: IpAddr) -> Result<(), Error> {
    if banner::is_exposed(settings, at) && !settings.security.insecure_open {
        return Err(Error::OpenToAll { host: settings.host.clone() });
    }
    let security = &settings.security;
    let tls = security.tls_cert.is_some() || security.tls_self_signed;
    if security.security_profile == SecurityProfile::Verified && !at.is_loopback() && !tls {
        return Err(Error::VerifiedInTheClear { host: settings.host.clone() });
    }
    Ok(())
}

/// The address of a server, which carries what its certificate is known by.
pub(crate) fn url(tls: Option<&Tls>, address: &str) -> String {
    match tls {
        Some(tls) => format!("wss://{address}#{}", tls.fingerprint()),
        None => format!("ws://{address}"),
    }
}

/// TLS as the settings want it.
pub(crate) fn tls(settings: &Settings, listens: IpAddr) -> Result<Option<Tls>, Error> {
    let security = &settings.security;
    let files = match (&security.tls_cert, &security.tls_key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ if security.tls_self_signed => {
            let names = banner::names(&settings.host, listens);
            let dir =
                place::found(settings.data_dir.as_deref(), settings.workspace.as_deref(), settings.port)?;
            self_signed::at(&dir.join("tls"), &names)?
        }
        _ => return Ok(None),
    };
    Ok(Some(Tls::from_files(files.0, files.1)?))
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
    ConnectInfo(peer): ConnectInfo<Peer>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    uri: Uri,
    request: Request,
) -> Response {
    peer.seen();
    if uri.path().starts_with(serve::PATH) {
        return serve::answer(upgrade, (uri.path(), request.headers()), shared.door);
    }
    match upgrade {
        Ok(upgrade) if !origin_allowed(request.headers(), &shared.settings.allow_origin) => {
            drop(upgrade);
            let text = "pages of this origin may not connect; the server's --allow-origin lets them\n";
            (StatusCode::FORBIDDEN, text).into_response()
        }
        Ok(upgrade) if let Some(wait) = shared.registry.has_to_wait(peer.from) => {
            drop(upgrade);
            // Rounded up: whoever comes back then comes late enough.
            let headers = [(header::RETRY_AFTER, (wait.as_secs() + 1).to_string())];
            let text = "too many refused credentials came from this address; try again later\n";
            (StatusCode::TOO_MANY_REQUESTS, headers, text).into_response()
        }
        Ok(upgrade) => {
            let max = shared.settings.max_frame_bytes as usize * OVERSIZE;
            upgrade
                .max_message_size(max)
                .max_frame_size(max)
                .read_buffer_size(READ_BUFFER)
                .on_upgrade(async move |socket| connection(socket, uri.path(), peer, shared).await)
        }
        Err(_) if uri.path() == "/healthz" => "ok\n".into_response(),
        Err(_) => {
            let text = "This is an MPAC coordinator. Agents join it over WebSocket; /healthz says whether it is up.\n";
            let headers = [(header::UPGRADE, "websocket")];
            (StatusCode::UPGRADE_REQUIRED, headers, text).into_response()
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

async fn connection(mut socket: WebSocket, path: &str, peer: Peer, shared: Shared) {
    // None when the server is stopping, which the registry then says.
    let open = shared.open.upgrade();
    let settings = &shared.settings;
    let meters = shared.registry.meters().clone();
    let (frames, together) = (settings.queue_frames as usize, settings.guards.max_queued_bytes);
    let limits = QueueLimits { frames, bytes: QUEUE_BYTES, together };
    let (outbox, queue) = outbox(limits, meters);
    let link = match shared.registry.join(path, outbox.clone(), &peer).await {
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
        idle: match settings.guards.idle_after_sec {
            0 => None,
            seconds => Some(Duration::from_secs(seconds.into())),
        },
        times: Times::default(),
    };
    let (sink, stream) = socket.split();
    // A legal message in fragments of a byte each is below that, and a read may hold the beginning of the next.
    peer.counts((settings.max_frame_bytes as usize * OVERSIZE * 2 + READ_BUFFER) as u64);
    let stream = stream.inspect_ok(|message| peer.came(message)).map_err(lost);
    let watched = outbox.clone();
    tokio::select! {
        () = socket::run(stream, sink, (outbox, queue), limits, &link) => {}
        () = watch(&watched, &settings.security, &link) => {}
    }
    drop(open);
}

/// Hangs up on whoever does not join in time, or is in by something that is no good any more. Never returns.
async fn watch(outbox: &Outbox, security: &Security, seat: &Seat) {
    if security.security_profile != SecurityProfile::Open {
        let within = Duration::from_secs(security.hello_within_sec.into());
        if timeout(within, outbox.admitted()).await.is_err() {
            outbox.close_for(Limit::Hello, "nobody has joined on this connection in time");
        }
        let why = seat.over(&Seconds::whole(security.hello_within_sec)).await;
        info!("a connection is closed: {why}");
        outbox.close(1008, why);
    }
    pending().await
}

fn lost(error: axum::Error) -> Lost {
    match error.into_inner().downcast::<tungstenite::Error>().as_deref() {
        Ok(tungstenite::Error::Capacity(_)) => Lost::TooLarge,
        Ok(tungstenite::Error::Io(error)) if error.get_ref().is_some_and(|it| it.is::<Endless>()) => {
            Lost::TooLarge
        }
        Ok(tungstenite::Error::Utf8(_)) => Lost::NotText,
        Ok(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
            Lost::Gone
        }
        Ok(tungstenite::Error::Protocol(_)) => Lost::Protocol,
        _ => Lost::Gone,
    }
}
