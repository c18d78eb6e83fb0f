//! The session's state as resources.

use serde::Serialize;
use serde_json::{Value, json};

use super::brief;
use crate::agent::{Event, Snapshot};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Participants,
    Intents,
    Conflicts,
    Files,
}

impl Resource {
    pub(super) const ALL: [Self; 4] = [Self::Participants, Self::Intents, Self::Conflicts, Self::Files];

    pub(super) fn uri(self) -> &'static str {
        match self {
            Self::Participants => "mpac://session/participants",
            Self::Intents => "mpac://session/intents",
            Self::Conflicts => "mpac://session/conflicts",
            Self::Files => "mpac://session/files",
        }
    }

    pub(super) fn named(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.uri() == uri)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Participants => "participants",
            Self::Intents => "intents",
            Self::Conflicts => "conflicts",
            Self::Files => "files",
        }
    }

    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Participants => "Who is in the session, with roles and status",
            Self::Intents => {
                "Who works on which files, for what and for how long yet; who has stepped back from what"
            }
            Self::Conflicts => "The conflicts that are not settled",
            Self::Files => "The shared files that were read, listed or changed, each with the state it is in",
        }
    }

    /// Its text is this, as JSON: all that there is, but of what others wrote in each no more than in the tools' answers.
    pub(super) fn of(self, view: &Snapshot) -> Value {
        match self {
            Self::Participants => json!({
                "session_id": view.session_id, "me": view.me, "my_roles": view.roles, "level": view.level,
                "execution_model": view.execution_model, "is_complete": view.is_complete, "people": each(&view.people),
            }),
            Self::Intents => {
                json!({"me": view.me, "intents": each(&view.intents), "deferrals": each(&view.deferrals)})
            }
            Self::Conflicts => json!({"me": view.me, "conflicts": each(&view.conflicts)}),
            Self::Files => json!({ "files": view.files }),
        }
    }

    /// Those that are other ones after this.
    pub(super) fn changed_by(event: &Event) -> &'static [Self] {
        match event {
            Event::Joined { .. } => &[Self::Participants],
            Event::Left { .. } => &[Self::Participants, Self::Intents],
            Event::Announced { .. }
            | Event::Updated { .. }
            | Event::Standing { .. }
            | Event::Withdrawn { .. }
            | Event::OwnIntentEnded { .. }
            | Event::Deferred { .. }
            | Event::DeferralEnded { .. }
            | Event::ClaimDecided { .. } => &[Self::Intents],
            // It comes after each commit, and only with it the file's new state is known.
            Event::FileUpdated { .. } => &[Self::Files],
            Event::Conflict { .. } | Event::Acknowledged { .. } | Event::Escalated { .. } => {
                &[Self::Conflicts]
            }
            // It may end intents as well.
            Event::Resolved { .. } => &[Self::Conflicts, Self::Intents],
            // Anything may have happened meanwhile.
            Event::ConnectionBack { .. } | Event::Lagged { .. } => &Self::ALL,
            Event::Committed { .. }
            | Event::Superseded { .. }
            | Event::Claimed { .. }
            | Event::Proposed { .. }
            | Event::Authorised { .. }
            | Event::Rejected { .. }
            | Event::Compensation { .. }
            | Event::Warning { .. }
            | Event::Trust { .. }
            | Event::ConnectionLost { .. }
            | Event::CoordinatorSilent { .. }
            | Event::CoordinatorBack
            | Event::SessionClosed { .. }
            | Event::Used { .. }
            | Event::Disconnected { .. } => &[],
        }
    }
}

fn each<T: Serialize>(all: &[T]) -> Vec<Value> {
    all.iter().map(brief::value).collect()
}
