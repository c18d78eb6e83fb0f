//! Only one server has a session (REC-26): a directory whose sessions are elsewhere is not started from by accident, and
//! whoever takes over tells the one before until it has heard.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::control::dial::{NotReached, Target};
use crate::control::token::Token;
use crate::control::{Answer, Request};
use crate::error::Error;
use crate::store::elsewhere::Elsewhere;
use crate::store::whole;

/// Who has not heard yet.
const FILE: &str = "before.json";
/// Epochs that stay known when the sessions are here again.
const ABOVE: &str = "above.json";
/// Between two tries to reach the one before: at first, and at the most. One that is started again accepts for so long what
/// is then lost.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// Epochs that somebody else has spoken under, or may have.
///
/// They stay in the directory: a session that cannot go on at the start which takes them back, or is not asked for, may at a later
/// one.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Above {
    /// By the id of the session.
    known: BTreeMap<String, u64>,
    /// Of every session.
    least: u64,
}

impl Above {
    /// The epoch above which this session has to go on; `None` where nobody else has had it.
    pub(crate) fn of(&self, id: &str) -> Option<u64> {
        let epoch = self.known.get(id).copied().unwrap_or_default().max(self.least);
        (epoch > 0).then_some(epoch)
    }
}

/// The epochs above which the sessions of a directory have to go on.
///
/// # Errors
/// When somebody else has them, and nobody said `--take-back`.
pub(crate) fn may_start(data: &Path, take_back: Option<u64>) -> Result<Above, Error> {
    let failed = |source| Error::DataDir { path: data.to_owned(), source };
    let mark = Elsewhere::read(data).map_err(failed)?;
    match (mark, take_back) {
        (Some(Elsewhere { why, server, .. }), None) => {
            Err(Error::Elsewhere { path: data.to_owned(), why: why.to_string(), server })
        }
        (mark, least) => {
            let mut above: Above = whole::read_json(data, ABOVE).map_err(failed)?.unwrap_or_default();
            for (id, epoch) in mark.into_iter().flat_map(|mark| mark.epochs) {
                let known = above.known.entry(id).or_default();
                *known = epoch.max(*known);
            }
            above.least = least.unwrap_or_default().max(above.least);
            Ok(above)
        }
    }
}

/// The sessions are here from now on.
pub(crate) fn started(data: &Path, above: &Above) -> Result<(), Error> {
    let noted = if *above == Above::default() { Ok(()) } else { whole::write_json(data, ABOVE, above) };
    noted
        .and_then(|()| Elsewhere::remove(data))
        .map_err(|source| Error::DataDir { path: data.to_owned(), source })
}

/// The server that is to be told, as long as it has not heard.
#[derive(Serialize, Deserialize)]
struct Before {
    server: String,
    token: String,
}

/// Notes that this server has to be told, so that it is also after a restart.
pub(crate) fn note(data: &Path, before: &Target) -> io::Result<()> {
    let token = before.token().reveal().to_owned();
    whole::write_json(data, FILE, &Before { server: before.url().to_owned(), token })
}

/// The sessions were given: nobody has to be told.
pub(crate) fn forget(data: &Path) -> io::Result<()> {
    whole::remove(data, FILE)
}

/// Tells the server that is noted in `data`, if there is one, that its sessions are here, until it has heard, or says that it
/// is `silent`.
pub(crate) async fn tell(
    data: &Path,
    epochs: BTreeMap<String, u64>,
    by: String,
    silent: impl Future<Output = ()>,
) {
    let before = match whole::read_json::<Before>(data, FILE) {
        Ok(Some(before)) => before,
        Ok(None) => return,
        Err(error) => return warn!("the server before cannot be told: {error}"),
    };
    tokio::select! {
        () = persist(Target::new(&before.server, Token::given(&before.token)), epochs, by) => {}
        () = silent => info!("{}: it says nothing more, it found out by itself", before.server),
    }
    if let Err(error) = whole::remove(data, FILE) {
        warn!("{FILE} cannot be removed, so the server before will be told again: {error}");
    }
}

async fn persist(before: Target, epochs: BTreeMap<String, u64>, by: String) {
    let request = Request::Fence { epochs, by };
    let mut pause = PAUSE.0;
    let mut said = false;
    loop {
        match before.ask(&request).await {
            Ok(Answer::Done { text }) => return info!("{}: {text}", before.url()),
            Ok(Answer::Refused { reason }) => return warn!("{} is not fenced: {reason}", before.url()),
            Ok(Answer::Status(_)) => {
                return warn!("{} is not fenced: it answers something else", before.url());
            }
            Err(error) => {
                if !std::mem::replace(&mut said, true) {
                    let again = if matches!(error, NotReached::Token(_)) { "" } else { " for now" };
                    warn!(
                        "{error}: the server before cannot be told{again} that its sessions are here; trying again"
                    );
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::elsewhere::Why;

    #[test]
    fn sessions_that_are_elsewhere_are_only_taken_back_above_every_epoch_known() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(may_start(dir.path(), None).unwrap(), Above::default());
        let above = may_start(dir.path(), Some(7)).unwrap();
        assert_eq!(above.of("a"), Some(7), "of a restored backup, say, which knows of nobody else");
        let epochs = BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 9)]);
        Elsewhere { why: Why::Fenced, server: "ws://there:1".to_owned(), epochs }.write(dir.path()).unwrap();
        let refused = may_start(dir.path(), None).unwrap_err().to_string();
        for word in ["ws://there:1", "taken over", "standby --from", "--take-back"] {
            assert!(refused.contains(word), "{refused}");
        }
        let above = may_start(dir.path(), Some(5)).unwrap();
        assert_eq!(["a", "b", "c"].map(|id| above.of(id)), [Some(5), Some(9), Some(5)]);
        assert_eq!(may_start(dir.path(), Some(0)).unwrap().of("c"), None);
        started(dir.path(), &above).unwrap();
        let again = may_start(dir.path(), None).unwrap();
        assert_eq!(
            ["a", "b", "c"].map(|id| again.of(id)),
            [Some(5), Some(9), Some(5)],
            "for one that could not go on"
        );
    }
}
