//! `mpac-ws standby`: follows a server, and goes on with its sessions when that one ends (REC-21, REC-22).

mod desk;
mod following;
mod keys;
mod silence;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use self::desk::Desk;
use self::following::{Following, Said};
use self::silence::Silence;
use crate::cli::standby::{GivenToken, Standby};
use crate::control::dial::Target;
use crate::control::token::Token;
use crate::error::Error;
use crate::fencing;
use crate::follow::Follower;
use crate::follow::copy::Copy;
use crate::follow::receive::Held;
use crate::server::{self, Server, may_listen, tls, url};
use crate::session::Template;
use crate::signing::key_file::{self, Keys};
use crate::store::elsewhere::{Elsewhere, Why};
use crate::store::{Store, place};
use crate::workspace::Workspace;

/// How following ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Somebody stopped the standby.
    Stopped,
    /// The server let go of its sessions.
    Released,
    /// It did not, and they are taken: it has to be told.
    Taken,
}

/// Follows until it is time to take over, and gives the server that goes on; `None` when `stop` completed first.
///
/// # Errors
/// When the other server cannot be followed, the directory cannot be used, or the server cannot be started then.
pub async fn run(
    options: Standby,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<Server>, Error> {
    let mut settings = options.server.clone();
    let nowhere =
        || Error::Control("a standby stores what it follows: leave out --durability none".to_owned());
    let (data, durability) = place::of(&settings)?.ok_or_else(nowhere)?;
    let token = token(&options.token)?;
    // What a takeover would stumble over is said now, and the room that it needs is taken.
    let store = Store::serving(&data, durability, &settings.keeping)?;
    place::check_archive(&settings, &data)?;
    server::shared(&settings).await?;
    let failed = |source| Error::DataDir { path: data.clone(), source };
    // What was given becomes the directory's own once the other server has taken it.
    let door = Token::kept(&data).map_err(failed)?.unwrap_or_else(|| token.clone());
    let target = Target::new(&options.from, token);
    let mark = marked(&data, &options.from).map_err(failed)?;
    let desk = Desk::open(&data, &mark, door).await.map_err(failed)?;
    if settings.port != 0 && TcpListener::bind((settings.host.as_str(), settings.port)).await.is_err() {
        warn!("port {} on {} is in use now: it has to be free for a takeover", settings.port, settings.host);
    }
    let copy = open(data.clone()).await?;
    if let Ok(ip) = settings.host.parse() {
        may_listen(&settings, ip)?;
    }
    let own = tls(&settings, settings.host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))?;
    let role = Follower::Standby {
        address: url(own.as_ref(), &format!("{}:{}", settings.host, settings.port)),
        after_silence: options.take_over_after_sec.is_some(),
    };
    let silence = Silence::new(options.take_over_after_sec.map(Duration::from_secs));
    let from = options.from.clone();
    let keys = key_file::Place::of(settings.security.signing_key.as_deref(), Some(&data));
    let template = Template::new(&settings, Workspace::default())?.signing(|| Keys::copied(keys))?;
    let template = Arc::new(template);
    let mut following = Following {
        target,
        role,
        data,
        mark,
        silence,
        held: Held::new(copy),
        template,
        said: Said::default(),
        ending: false,
    };
    let end = following.run(&mut stop, &desk).await;
    let end = end.map_err(|reason| Error::Following { from: from.clone(), reason })?;
    let failed =
        |error: &dyn std::fmt::Display| Error::Following { from: from.clone(), reason: error.to_string() };
    let (target, data, mark) = (following.target, following.data, following.mark);
    let copy = following.held.into_inner().map_err(|error| failed(&error))?;
    // What keeps two servers apart is on the disk before there could be two.
    let apart = match end {
        End::Stopped | End::Released => Ok(()),
        End::Taken => above(mark, &copy).write(&data).and_then(|()| fencing::note(&data, &target)),
    };
    apart.map_err(|source| Error::DataDir { path: data.clone(), source })?;
    let finishing = spawn_blocking(move || copy.finish()).await;
    finishing.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    if end == End::Stopped {
        return Ok(None);
    }
    info!("taking over");
    if Token::kept(&data).map_err(|error| failed(&error))?.is_none() {
        target.token().adopted_by(&data).map_err(|error| failed(&error))?;
    }
    drop((store, desk));
    // The mark goes when the sessions are there: a start that fails can be tried again, by a standby too where they were given.
    settings.take_back.get_or_insert(0);
    settings.data_dir = Some(data);
    let server = tokio::select! {
        server = Server::bind(settings) => server?,
        () = stop => return Ok(None),
    };
    Ok(Some(server))
}

/// Marks a directory as the copy of that server, which is complete if it was before. What that server has given to it stays its own
/// until the server is seen to have it again.
fn marked(data: &Path, from: &str) -> io::Result<Elsewhere> {
    let before = Elsewhere::read(data)?;
    let why = match &before {
        // With another certificate it is the same server.
        Some(mark)
            if without_pin(&mark.server) == without_pin(from)
                && matches!(mark.why, Why::Standby | Why::Given) =>
        {
            mark.why
        }
        _ => Why::Partial,
    };
    let epochs = before.map(|mark| mark.epochs).unwrap_or_default();
    let mark = Elsewhere { why, server: from.to_owned(), epochs };
    mark.write(data)?;
    Ok(mark)
}

fn without_pin(url: &str) -> &str {
    url.split_once('#').map_or(url, |(url, _)| url)
}

/// The mark of a copy whose sessions are taken: their server may come back without having heard of that, and then speaks
/// under its next epoch. What is taken goes on above that one, so that never two speak under the same (REC-26, REC-27).
fn above(mut mark: Elsewhere, copy: &Copy) -> Elsewhere {
    for (core, kept) in copy.replicas().filter_map(|it| it.replay().session()) {
        let epoch = mark.epochs.entry(kept.config.session_id.to_string()).or_default();
        *epoch = (*epoch).max(core.epoch().saturating_add(1));
    }
    mark
}

/// The token that was given. A file that is named counts more than the environment, whose token may be another server's.
pub(crate) fn token(given: &GivenToken) -> Result<Token, Error> {
    let Some(path) = &given.token_file else {
        if let Some(text) = given.token.as_deref().filter(|text| !text.is_empty()) {
            return usable("MPAC_CONTROL_TOKEN", text);
        }
        return Err(Error::Control(
            "a token is needed: name a copy of the file control-token in the other server's data directory with --token-file"
                .to_owned(),
        ));
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::Control(format!("--token-file {}: {error}", path.display())))?;
    usable(&format!("--token-file {}", path.display()), &text)
}

/// Nothing that cannot be a token goes to another server, or stays in a directory.
fn usable(from: &str, text: &str) -> Result<Token, Error> {
    let token = Token::given(text);
    let reason = "this is no token; it should be a copy of the file control-token in the other server's data directory";
    if token.is_secret() { Ok(token) } else { Err(Error::Control(format!("{from}: {reason}"))) }
}

/// What is there of a copy, read beside the runtime.
pub(crate) async fn open(data: PathBuf) -> Result<Copy, Error> {
    let failed = |data: &Path, source| Error::DataDir { path: data.to_owned(), source };
    let at = data.clone();
    let opened = spawn_blocking(move || Copy::open(&at)).await;
    opened.map_err(|error| failed(&data, io::Error::other(error)))?.map_err(|source| failed(&data, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_named_counts_more_than_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let (own, other) = ("a".repeat(64), "b".repeat(64));
        std::fs::write(&file, &own).unwrap();
        let given = |token_file, token| GivenToken { token_file, token };
        let named = token(&given(Some(file), Some(other.clone()))).unwrap();
        assert!(named.is(&own) && !named.is(&other));
        assert!(token(&given(None, Some(other.clone()))).unwrap().is(&other));
        assert!(token(&given(None, Some(String::new()))).is_err());
    }
}
