//! A server that is stopped, served to one follower: the same way as one that runs.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocket;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Request as HttpRequest, State};
use axum::middleware::map_response;
use axum::response::Response;
use mpac_wire::Seconds;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::control::dial::Target;
use crate::control::serve::{self, Operator};
use crate::control::token::Token;
use crate::control::{Answer, Request};
use crate::error::Error;
use crate::follow::hub::Hub;
use crate::follow::send::{self, Source};
use crate::hex;
use crate::store::{Durability, Store, base};
use crate::workspace::Workspace;
use crate::workspace::load::{Limits, Progress, load};

/// Served until it is dropped; no server starts meanwhile.
#[derive(Debug)]
pub(super) struct Still {
    target: Target,
    serving: JoinHandle<()>,
    _lock: Store,
}

#[derive(Clone, Debug)]
struct Keeper {
    token: Token,
    source: Source,
}

impl Still {
    pub(super) async fn open(data: PathBuf, workspace: Option<PathBuf>) -> Result<Self, Error> {
        if !data.join("sessions").is_dir() {
            return Err(Error::Control(format!(
                "nothing is stored in {}: name the right place with --data-dir or --workspace, or a server elsewhere with --from",
                data.display()
            )));
        }
        let lock = Store::open(&data, Durability::Fsync)?;
        let failed = |source| Error::DataDir { path: data.clone(), source };
        let at = data.clone();
        let loading = spawn_blocking(move || {
            let mut files = match workspace {
                Some(dir) => load(&dir, &Limits::default(), &Progress::default())?.0,
                None => Workspace::default(),
            };
            let failed = |source| Error::DataDir { path: at.clone(), source };
            base::complete(&at, &mut files).map_err(failed)?;
            Ok::<_, Error>(files)
        });
        let workspace = loading.await.map_err(|error| failed(io::Error::other(error)))??;
        let source = Source {
            data: data.clone(),
            durable: lock.durable().clone(),
            workspace: Arc::new(workspace),
            heartbeat_interval: Seconds::whole(0),
            hub: Hub::default(),
        };
        // For this one time.
        let token = Token::given(&hex::random::<32>().map_err(failed)?);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let target = Target::new(&format!("ws://{address}"), token.clone());
        let app = Router::new()
            .fallback(answer)
            .layer(map_response(serve::once))
            .with_state(Keeper { token, source });
        let serving = tokio::spawn(async move {
            // It ends when it is dropped; before that its follower would see.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { target, serving, _lock: lock })
    }

    pub(super) fn target(&self) -> Target {
        self.target.clone()
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Operator for Keeper {
    fn token(&self) -> Option<&Token> {
        Some(&self.token)
    }

    async fn command(&self, _: Request) -> Answer {
        Answer::Refused { reason: "this server is stopped".to_owned() }
    }

    async fn follow(self, socket: WebSocket) {
        send::run(socket, self.source).await;
    }
}

async fn answer(
    State(keeper): State<Keeper>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: HttpRequest,
) -> Response {
    serve::answer(upgrade, (request.uri().path(), request.headers()), keeper)
}
