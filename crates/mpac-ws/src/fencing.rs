//! Only one server has a session (REC-26): a directory whose sessions are elsewhere is not started from by accident, and
//! whoever takes over tells the one before until it has heard.

mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;

use mpac_wire::SessionId;
use serde::{Deserialize, Serialize};

pub(crate) use self::telling::tell;
use crate::control::dial::Target;
use crate::error::Error;
use crate::store::elsewhere::{Elsewhere, Why};
use crate::store::{self, whole};

/// Who has not heard yet.
const FILE: &str = "before.json";
/// Who may take the sessions too.
const BESIDE: &str = "beside.json";
/// Epochs that stay known when the sessions are here again.
const ABOVE: &str = "above.json";

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
    /// Sessions whose last epoch there nobody said, by their names here: each may have been the other's under one of the next two.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    unnamed: BTreeSet<String>,
}

impl Above {
    /// The epoch above which this session, which was here under epoch `before`, has to go on; `None` where nobody else has had it.
    pub(crate) fn of(&self, id: &SessionId, before: u64) -> Option<u64> {
        let known = self.known.get(id.as_str()).copied().unwrap_or_default();
        // Who took it skipped one, for a start of ours that had not heard.
        let unnamed = if self.unnamed.contains(&store::name(id)) { before.saturating_add(2) } else { 0 };
        let epoch = known.max(unnamed).max(self.least);
        (epoch > 0).then_some(epoch)
    }

    /// The session of this name is above what others have had, or over.
    pub(crate) fn is_above(&mut self, name: &str) {
        self.unnamed.remove(name);
    }

    /// Everything that a mark says, and leaves open.
    fn add(&mut self, mark: Elsewhere, stored: impl Iterator<Item = String>) {
        // A copy is of what it says. One who gave its sessions away, or lost them, may not have known of all: some had ended.
        if matches!(mark.why, Why::HandedOver | Why::Fenced) {
            let ids = mark.epochs.keys().filter_map(|id| SessionId::new(id.as_str()).ok());
            let named: BTreeSet<String> = ids.map(|id| store::name(&id)).collect();
            self.unnamed.extend(stored.filter(|name| !named.contains(name)));
        }
        for (id, epoch) in mark.epochs {
            let known = self.known.entry(id).or_default();
            *known = epoch.max(*known);
        }
    }
}

/// The epochs above which the sessions of a directory have to go on. Those that were given to it go on as was announced, which is
/// in their logs.
///
/// # Errors
/// When somebody else has them, and nobody said `--take-back`.
pub(crate) fn may_start(data: &Path, take_back: Option<u64>) -> Result<Above, Error> {
    let failed = |source| Error::DataDir { path: data.to_owned(), source };
    let mark = Elsewhere::read(data).map_err(failed)?;
    match (mark, take_back) {
        (Some(Elsewhere { why, server, .. }), None) if why != Why::Given => {
            Err(Error::Elsewhere { path: data.to_owned(), why: why.to_string(), server })
        }
        (mark, least) => {
            let mut above: Above = whole::read_json(data, ABOVE).map_err(failed)?.unwrap_or_default();
            if let Some(mark) = mark {
                let stored = store::names(data).map_err(failed)?.into_iter();
                above.add(mark, stored.filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned())));
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

/// A server that is to be told, as long as it has not heard.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    server: String,
    token: String,
}

impl Before {
    /// Its address.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }
}

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.server)
    }
}

/// What is in the file; earlier builds knew of one alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Noted {
    Several(Vec<Before>),
    One(Before),
}

/// Those that have not heard yet.
pub(crate) fn pending(data: &Path) -> io::Result<Vec<Before>> {
    Ok(match whole::read_json(data, FILE)? {
        Some(Noted::Several(several)) => several,
        Some(Noted::One(one)) => vec![one],
        None => Vec::new(),
    })
}

/// These have to be told, and no others: whoever gives the sessions away, or may lose them, says who has not heard.
pub(crate) fn keep(data: &Path, pending: &[Before]) -> io::Result<()> {
    if pending.is_empty() { whole::remove(data, FILE) } else { whole::write_json(data, FILE, &pending) }
}

/// Notes that this server has to be told too, so that it is also after a restart.
pub(crate) fn note(data: &Path, before: &Target) -> io::Result<()> {
    let before = Before { server: before.url().to_owned(), token: before.token().reveal().to_owned() };
    let mut all = pending(data)?;
    all.retain(|it| it.server != before.server);
    all.push(before);
    keep(data, &all)
}

/// Where standbys would serve that take over by themselves, and may not have heard who was given the sessions.
pub(crate) fn beside(data: &Path) -> io::Result<Vec<String>> {
    Ok(whole::read_json(data, BESIDE)?.unwrap_or_default())
}

/// Notes them, and no others.
pub(crate) fn stand_beside(data: &Path, beside: &[String]) -> io::Result<()> {
    if beside.is_empty() { whole::remove(data, BESIDE) } else { whole::write_json(data, BESIDE, &beside) }
}

fn told(data: &Path, before: &Before) -> io::Result<()> {
    let mut rest = pending(data)?;
    rest.retain(|it| it != before);
    keep(data, &rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::token::Token;

    /// The epoch above which it goes on, from epoch 2.
    fn of(above: &Above, id: &str) -> Option<u64> {
        above.of(&SessionId::new(id).unwrap(), 2)
    }

    #[test]
    fn sessions_that_are_elsewhere_are_only_taken_back_above_every_epoch_known() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(may_start(dir.path(), None).unwrap(), Above::default());
        let above = may_start(dir.path(), Some(7)).unwrap();
        assert_eq!(of(&above, "a"), Some(7), "of a restored backup, say, which knows of nobody else");
        let epochs = BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 9)]);
        std::fs::create_dir(dir.path().join("sessions")).unwrap();
        Elsewhere { why: Why::Fenced, server: "ws://there:1".to_owned(), epochs }.write(dir.path()).unwrap();
        let refused = may_start(dir.path(), None).unwrap_err().to_string();
        for word in ["ws://there:1", "taken over", "standby --from", "--take-back"] {
            assert!(refused.contains(word), "{refused}");
        }
        let above = may_start(dir.path(), Some(5)).unwrap();
        assert_eq!(["a", "b", "c"].map(|id| of(&above, id)), [Some(5), Some(9), Some(5)]);
        assert_eq!(of(&may_start(dir.path(), Some(0)).unwrap(), "c"), None);
        started(dir.path(), &above).unwrap();
        let again = may_start(dir.path(), None).unwrap();
        assert_eq!(
            ["a", "b", "c"].map(|id| of(&again, id)),
            [Some(5), Some(9), Some(5)],
            "for one that could not go on"
        );
    }

    #[test]
    fn a_session_that_the_mark_does_not_name_skips_the_epochs_that_the_other_one_may_have_had() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::create_dir_all(dir.path().join("sessions").join(name)).unwrap();
        }
        let mark =
            |why| Elsewhere { why, server: "ws://there:1".to_owned(), epochs: [("a".to_owned(), 3)].into() };
        mark(Why::Standby).write(dir.path()).unwrap();
        assert_eq!(of(&may_start(dir.path(), Some(0)).unwrap(), "b"), None, "all of it is a copy");
        for why in [Why::HandedOver, Why::Fenced] {
            mark(why).write(dir.path()).unwrap();
            let mut above = may_start(dir.path(), Some(0)).unwrap();
            assert_eq!(["a", "b", "c", "new"].map(|id| of(&above, id)), [Some(3), Some(4), Some(4), None]);
            above.is_above("b");
            started(dir.path(), &above).unwrap();
            let again = may_start(dir.path(), None).unwrap();
            assert_eq!(["b", "c"].map(|id| of(&again, id)), [None, Some(4)], "once each");
        }
    }

    #[test]
    fn sessions_that_were_given_to_a_copy_are_its_own() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("sessions/a")).unwrap();
        let given = Elsewhere { why: Why::Given, server: "ws://there:1".to_owned(), epochs: BTreeMap::new() };
        given.write(dir.path()).unwrap();
        let above = may_start(dir.path(), None).unwrap();
        assert_eq!(of(&above, "a"), None, "under the epoch that was announced");
    }

    #[test]
    fn who_has_not_heard_stays_noted_beside_others() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let of = |server: &str| Before { server: server.to_owned(), token: "t".to_owned() };
        std::fs::write(data.join(FILE), r#"{"server": "ws://one:1", "token": "t"}"#).unwrap();
        assert_eq!(pending(data).unwrap(), [of("ws://one:1")], "as earlier builds wrote it");
        for server in ["ws://two:1", "ws://one:1", "ws://two:1"] {
            note(data, &Target::new(server, Token::given("t"))).unwrap();
        }
        assert_eq!(pending(data).unwrap(), [of("ws://one:1"), of("ws://two:1")]);
        told(data, &of("ws://one:1")).unwrap();
        assert_eq!(pending(data).unwrap(), [of("ws://two:1")]);
        told(data, &of("ws://two:1")).unwrap();
        assert!(!data.join(FILE).exists());
    }
}
