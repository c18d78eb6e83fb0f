//! The control door of a standby: on this machine only, as long as it follows.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocket;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Request as HttpRequest, State};
use axum::middleware::map_response;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::control::serve::{self, Operator};
use crate::control::token::Token;
use crate::control::{Answer, Published, Request, Role, Status};
use crate::store::elsewhere::{Elsewhere, Why};

/// For a takeover to come about; whoever asked for it hears then why not. Less than they wait.
const WAITS: Duration = Duration::from_secs(100);

/// Open until it is dropped.
#[derive(Debug)]
pub(super) struct Desk {
    clerk: Clerk,
    wanted: watch::Receiver<Option<Instant>>,
    _published: Published,
    serving: JoinHandle<()>,
}

/// Who answers.
#[derive(Clone, Debug)]
struct Clerk {
    token: Token,
    /// Until when somebody wants the takeover.
    wanted: watch::Sender<Option<Instant>>,
    state: Arc<Mutex<String>>,
    /// Why nobody can go on with the copy yet.
    partial: Arc<Mutex<Option<String>>>,
    /// Why the last takeover that was wanted did not come about.
    refused: Arc<Mutex<Option<String>>>,
}

impl Desk {
    /// Whoever may read the data directory finds it.
    pub(super) async fn open(data: &Path, mark: &Elsewhere, token: Token) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new("connecting".to_owned()));
        let partial = Arc::new(Mutex::new((mark.why == Why::Partial).then(|| {
            format!(
                "this copy never had everything of {}, so what has not come would be lost: wait until it has caught up; if that \
                 server is gone for good, stop this standby, and start a server with --data-dir {} --take-back from what came",
                mark.server,
                data.display()
            )
        })));
        let (wanted, refused) = (watch::Sender::new(None), Arc::default());
        let clerk = Clerk { token, wanted, state, partial, refused };
        let published = Published::new(data, format!("ws://{address}"), &clerk.token, None)?;
        let app = Router::new().fallback(answer).layer(map_response(serve::once)).with_state(clerk.clone());
        let serving = tokio::spawn(async move {
            // It ends with the desk, or with the listener: then nobody can come any more.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { wanted: clerk.wanted.subscribe(), clerk, _published: published, serving })
    }

    /// Completes when somebody wants the takeover; again and again until it is refused.
    pub(super) async fn wanted(&self) {
        // The sender is here as well, so it is never gone.
        let _ = self.wanted.clone().wait_for(Option::is_some).await;
    }

    /// Completes when somebody wants it for longer than they wait.
    pub(super) async fn overdue(&self) {
        let mut wanted = self.wanted.clone();
        loop {
            let until = *wanted.borrow_and_update();
            tokio::select! {
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return,
                _ = wanted.changed() => {}
            }
        }
    }

    /// If somebody wants the takeover, it does not come about.
    pub(super) fn refuses(&self, reason: String) {
        if self.wanted.borrow().is_some() {
            let reason = format!("{reason}; nothing is taken");
            warn!("{reason}");
            *self.clerk.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
            self.clerk.wanted.send_replace(None);
        }
    }

    /// Whoever wants to go on with the copy can.
    pub(super) fn is_complete(&self) {
        *self.clerk.partial.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// For those who ask how it is.
    pub(super) fn says(&self, line: String) {
        *self.clerk.state.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Operator for Clerk {
    fn token(&self) -> Option<&Token> {
        Some(&self.token)
    }

    async fn command(&self, request: Request) -> Answer {
        match request {
            Request::Status {} => {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let (role, program) = (Role::Standby, crate::PROGRAM.to_owned());
                let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let (sessions, followers) = (Default::default(), vec![state]);
                Answer::Status(Status {
                    role,
                    program,
                    sessions,
                    followers,
                    refused,
                    instance: None,
                    tells: false,
                    told: Vec::new(),
                })
            }
            Request::TakeOver {} => {
                let partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(reason) = partial {
                    return Answer::Refused { reason };
                }
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
                info!("asked to take over");
                self.wanted.send_replace(Some(Instant::now() + WAITS));
                Answer::Done { text: "taking over".to_owned() }
            }
            Request::Close { .. }
            | Request::HandOver { .. }
            | Request::Silent {}
            | Request::SigningKey {}
            | Request::RotateKey {}
            | Request::Fence { .. } => {
                Answer::Refused { reason: "this is a standby: its sessions are another server's".to_owned() }
            }
        }
    }

    async fn follow(self, _: WebSocket) {}
}

async fn answer(
    State(clerk): State<Clerk>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: HttpRequest,
) -> Response {
    serve::answer(upgrade, (request.uri().path(), request.headers()), clerk)
}
