//! Joining a session.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mpac_core::participant::CAPABILITIES;
use mpac_wire::names::{GoodbyeReason, Role};
use mpac_wire::payload::session::{Backend, Hello};
use mpac_wire::{Credential, PrincipalId, SessionId};

use super::event::Events;
use super::{Agent, Shared, hub};
use crate::connection::{Header, Identity, Pin, Route, Target};
use crate::console::{Console, Palette};
use crate::error::AgentError;
use crate::history::{self, History, Recorder};
use crate::naming::Naming;
use crate::security::{Connected, Security};
use crate::session::{ANSWER_LIMIT, Session, Trust};

/// Where to connect, and as whom.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// `ws://HOST:PORT`, or `wss://HOST/session/ID`.
    pub url: String,
    /// Other addresses of the same coordinator or of its standby.
    pub also: Vec<String>,
    /// Shown to everybody.
    pub name: String,
    /// The session; `None`: the one that the address names, else `default`.
    pub session: Option<String>,
    /// The identity; `None`: `agent:NAME`.
    pub principal_id: Option<String>,
    /// Roles to ask for; `contributor` by default.
    pub roles: Vec<String>,
    /// What it can do; by default what an [`Agent`] can.
    pub capabilities: Vec<String>,
    /// Extra headers of the WebSocket handshake.
    pub headers: Vec<Header>,
    /// The coordinator's certificate by its fingerprint, for one that nobody vouches for.
    pub pin: Option<Pin>,
    /// What to join with where the session asks for it. It goes to an encrypted or local address only (PAR-21).
    pub credential: Option<Credential>,
    /// Keys, certificates, and whom to believe, where messages are signed (SEC-23, SEC-27).
    pub security: Security,
    /// The model behind it, where there is one.
    pub backend: Option<Backend>,
    /// After a break the coordinator is looked for so long, a year at most; zero: never. 300 s by default.
    pub patience: Duration,
    /// How long an answer may take; 30 s by default (PAR-12).
    pub answer_limit: Duration,
    /// Ask with SESSION_SUMMARY how the session stands. Servers of `mpac` 0.2 answer that alone, servers of this project
    /// tell it without being asked so, and those of `mpac` 0.1 close the connection on it.
    pub asks_summary: bool,
}

impl ConnectOptions {
    /// An address, a name, and the defaults.
    #[must_use]
    pub fn new(url: &str, name: &str) -> Self {
        Self {
            url: url.to_owned(),
            also: Vec::new(),
            name: name.to_owned(),
            session: None,
            principal_id: None,
            roles: vec!["contributor".to_owned()],
            capabilities: CAPABILITIES.iter().map(|it| (*it).to_owned()).collect(),
            headers: Vec::new(),
            pin: None,
            credential: None,
            security: Security::default(),
            backend: None,
            patience: Duration::from_secs(300),
            answer_limit: ANSWER_LIMIT,
            asks_summary: false,
        }
    }

    /// Where that is, checked.
    ///
    /// # Errors
    /// [`AgentError::Usage`].
    pub(crate) fn place(&self) -> Result<(Route, Identity), AgentError> {
        let usage = |text: &str| AgentError::Usage(text.to_owned());
        if self.name.trim().is_empty() || self.name.chars().any(char::is_control) {
            return Err(usage("--name is empty or has control characters; give a name like Bob"));
        }
        let pin = self.pin.as_ref();
        let target = Target::new(&self.url, self.headers.clone())?.pinned(pin);
        let session = self.session.as_deref().or_else(|| target.session_in_path()).unwrap_or("default");
        let session =
            SessionId::new(session).map_err(|_| usage("--session is empty; leave it out or name one"))?;
        let principal = match &self.principal_id {
            Some(id) => PrincipalId::new(id)
                .map_err(|_| usage("--principal-id is empty; leave it out or give one"))?,
            None => PrincipalId::new(format!("agent:{}", self.name)).expect("the text begins with `agent:`"),
        };
        let also = self.also.iter().map(|url| Ok(Target::new(url, self.headers.clone())?.pinned(pin)));
        let also = also.collect::<Result<_, AgentError>>()?;
        let route = Route::once(target).or(also).with_patience(self.patience);
        Ok((route, Identity { principal, session }))
    }

    fn hello(&self, credential: Option<Credential>) -> Hello {
        let mut hello = Hello::new(self.name.clone(), self.capabilities.clone());
        hello.roles = Some(self.roles.iter().map(|role| Role::from(role.as_str())).collect());
        hello.credential = credential;
        hello.backend = self.backend.clone();
        hello
    }
}

impl Agent {
    /// Joins a session: HELLO, and what the coordinator says to it (PAR-02). The events begin with the admission; where
    /// the server tells, the view knows what was before as well.
    ///
    /// # Errors
    /// [`AgentError::Usage`] for options that do not fit together, [`AgentError::NobodyThere`],
    /// [`AgentError::CannotConnect`], [`AgentError::NotLetIn`] and [`AgentError::Refused`] with the coordinator's reason,
    /// [`AgentError::StateRefFormat`], [`AgentError::NoAnswer`], [`AgentError::Lost`], [`AgentError::SessionClosed`].
    ///
    /// Dropped before it is done, it leaves without a trace but a participant that came and went.
    pub async fn connect(options: ConnectOptions) -> Result<(Self, Events), AgentError> {
        Self::connect_noting(options, history::channel()).await
    }

    /// As [`connect`](Self::connect), for whoever needs the history before.
    pub(crate) async fn connect_noting(
        options: ConnectOptions,
        (recorder, history): (Recorder, History),
    ) -> Result<(Self, Events), AgentError> {
        let (route, identity) = options.place()?;
        // One provider for the whole process; one that is there already will do.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let me = identity.principal.clone();
        let Connected { connection, credential, warning } =
            options.security.connect(route, identity, options.credential.clone(), recorder).await?;
        let silent = Console::lines_to(Palette::PLAIN, Box::new(|_| {}));
        let mut session =
            Session::new(me.clone(), connection, silent).with_answer_limit(options.answer_limit);
        if let Err(error) = session.join(options.hello(credential).into()).await {
            if session.is_in() {
                session.leave(GoodbyeReason::Error).await;
            }
            return Err(error);
        }
        let Some(mut parts) = session.into_parts() else {
            unreachable!("who has joined has heard SESSION_INFO");
        };
        parts.trust.extend(warning.map(|description| Trust { description, alarming: true }));
        let doors = hub::start(parts);
        let shared = Shared {
            orders: doors.orders,
            events: doors.events,
            place: doors.place,
            link: doors.link,
            me,
            name: options.name.clone(),
            naming: Mutex::new(Naming::new(&options.name)),
            answer_limit: options.answer_limit,
            history,
            tells: AtomicBool::new(false),
        };
        let agent = Self(Arc::new(shared));
        agent.look_around(options.asks_summary).await?;
        Ok((agent, Events(doors.first)))
    }
}
