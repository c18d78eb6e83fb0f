//! What an event is about, and who wants to hear of it.

use std::collections::BTreeSet;

use mpac_core::scope::normalize;
use mpac_wire::PrincipalId;

use crate::agent::Event;

/// So many files of which something was lost are told apart.
const MOST_FILES: usize = 1_000;

/// Bytes of the names of an event's files that are told apart: others write them, and many events are kept.
const MOST_NAMES: usize = 4_096;

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// These, by their normal names.
    Files(Vec<String>),
    /// Who comes and goes: no file at all.
    NoFile,
    /// An intent or a conflict whose files may be any, or are too many: better told once too often than never.
    AnyFile,
}

impl About {
    pub(super) fn of(event: &Event) -> Self {
        match event {
            Event::Announced { files, .. } | Event::Deferred { files, .. } => Self::files(files),
            Event::Proposed { path, .. }
            | Event::Committed { path, .. }
            | Event::Superseded { path, .. }
            | Event::Compensation { path, .. }
            | Event::FileUpdated { path, .. } => Self::files(std::slice::from_ref(path)),
            Event::Joined { .. } | Event::Left { .. } | Event::Warning { .. } | Event::Trust { .. } => {
                Self::NoFile
            }
            _ => Self::AnyFile,
        }
    }

    fn files(files: &[String]) -> Self {
        match files.iter().map(String::len).sum::<usize>() <= MOST_NAMES {
            true => Self::Files(files.iter().map(|file| normalize(file)).collect()),
            false => Self::AnyFile,
        }
    }
}

/// Whether the event is one's own doing.
pub(super) fn is_own(event: &Event, me: &PrincipalId) -> bool {
    let whose = match event {
        Event::Joined { principal_id }
        | Event::Left { principal_id, .. }
        | Event::Announced { principal_id, .. }
        | Event::Updated { principal_id, .. }
        | Event::Withdrawn { principal_id, .. }
        | Event::Claimed { principal_id, .. }
        | Event::Proposed { principal_id, .. }
        | Event::Committed { principal_id, .. }
        | Event::Superseded { principal_id, .. }
        | Event::Acknowledged { principal_id, .. }
        | Event::Escalated { principal_id, .. }
        | Event::Resolved { principal_id, .. } => Some(principal_id),
        Event::FileUpdated { updated_by, .. } => Some(updated_by),
        Event::Deferred { principal_id, .. } => principal_id.as_ref(),
        _ => None,
    };
    whose == Some(me)
}

/// What somebody wants to hear of: everything, or what may be about these files.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    files: BTreeSet<String>,
}

impl Wanted {
    /// Without files everything.
    pub(super) fn about(files: &[String]) -> Self {
        Self { files: files.iter().map(|file| normalize(file)).collect() }
    }

    pub(super) fn has(&self, about: &About) -> bool {
        self.files.is_empty()
            || match about {
                About::Files(theirs) => theirs.iter().any(|file| self.files.contains(file)),
                About::NoFile => false,
                About::AnyFile => true,
            }
    }
}

/// What untold events that are not kept any more were about.
#[derive(Debug, Default)]
pub(super) struct Lost {
    files: BTreeSet<String>,
    no_file: bool,
    any_file: bool,
}

impl Lost {
    pub(super) fn add(&mut self, about: About) {
        match about {
            About::Files(files) => self.files.extend(files),
            About::NoFile => self.no_file = true,
            About::AnyFile => self.any_file = true,
        }
        if self.files.len() > MOST_FILES {
            self.files.clear();
            self.any_file = true;
        }
    }

    /// Whether something was among it that is wanted.
    pub(super) fn has(&self, wanted: &Wanted) -> bool {
        let all = wanted.files.is_empty() && (self.no_file || !self.files.is_empty());
        self.any_file || all || !wanted.files.is_disjoint(&self.files)
    }

    /// Who wants this was told that it is lost.
    pub(super) fn tell(&mut self, wanted: &Wanted) {
        if wanted.files.is_empty() {
            *self = Self::default();
        }
        self.any_file = false;
        self.files.retain(|file| !wanted.files.contains(file));
    }
}

#[cfg(test)]
mod tests {
    use mpac_wire::StateRef;

    use super::*;

    fn id<T: std::str::FromStr>(text: &str) -> T {
        text.parse().unwrap_or_else(|_| unreachable!("it is not empty"))
    }

    #[test]
    fn what_others_do_to_the_files_counts_and_own_doings_do_not() {
        let me: PrincipalId = id("agent:me");
        let announced = |who: &str, file: &str| Event::Announced {
            intent_id: id("i"),
            principal_id: id(who),
            objective: "o".to_owned(),
            files: vec![file.to_owned()],
        };
        assert!(is_own(&announced("agent:me", "a.py"), &me) && !is_own(&announced("agent:you", "a.py"), &me));
        let (some, all) = (Wanted::about(&["./a.py".to_owned()]), Wanted::default());
        let is_wanted = |wanted: &Wanted, event: &Event| wanted.has(&About::of(event));
        assert!(is_wanted(&some, &announced("agent:you", "a.py")));
        assert!(!is_wanted(&some, &announced("agent:you", "b.py")));
        assert!(is_wanted(&all, &announced("agent:you", "b.py")));
        let joined = Event::Joined { principal_id: id("agent:you") };
        assert!(is_wanted(&all, &joined) && !is_wanted(&some, &joined));
        assert!(is_wanted(&some, &Event::Lagged { lost: 1 }));
        let to_undo = |file: &str| Event::Compensation {
            op_id: id("undo"),
            reverses_op_id: id("op"),
            path: file.to_owned(),
            state_ref_before: StateRef::of("new"),
            state_ref_after: StateRef::of("old"),
        };
        assert!(is_wanted(&some, &to_undo("./a.py")) && !is_wanted(&some, &to_undo("b.py")));
        assert!(!is_own(&to_undo("a.py"), &me), "it is told to its owner, who is to act");
    }

    #[test]
    fn what_was_lost_is_told_to_whom_it_concerns_and_once() {
        let files = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let (a, b, all) = (Wanted::about(&files(&["a"])), Wanted::about(&files(&["b"])), Wanted::default());
        let mut lost = Lost::default();
        assert!(!lost.has(&all));
        lost.add(About::NoFile);
        assert!(lost.has(&all) && !lost.has(&a));
        lost.add(About::Files(files(&["a"])));
        assert!(lost.has(&a) && !lost.has(&b));
        lost.tell(&a);
        assert!(!lost.has(&a) && lost.has(&all));
        lost.add(About::AnyFile);
        assert!(lost.has(&b));
        lost.tell(&all);
        assert!(!lost.has(&all) && !lost.has(&b));
        (0..=MOST_FILES).for_each(|n| lost.add(About::Files(vec![n.to_string()])));
        assert!(lost.has(&a), "too many to tell them apart");
    }
}
