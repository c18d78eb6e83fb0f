//! What members see of others' work, by their roles (PRV-02, PRV-03). The specification lets everybody see everything.

use alloc::collections::BTreeMap;

use mpac_wire::names::Role;

/// How much somebody sees, least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Sight {
    /// Who is here, intents, claims, deferrals and conflicts, without people's words; nothing of operations, nothing of
    /// files.
    Coordination,
    /// Operations too, and which files there are.
    NoWords,
    /// Everything but what is in the files.
    NoContents,
    /// Everything.
    #[default]
    Everything,
}

impl Sight {
    /// Every one, least first.
    pub const ALL: [Self; 4] = [Self::Coordination, Self::NoWords, Self::NoContents, Self::Everything];

    /// As it is configured.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coordination => "coordination",
            Self::NoWords => "no_words",
            Self::NoContents => "no_contents",
            Self::Everything => "everything",
        }
    }
}

/// Who sees how much, by role; whoever has none of the listed roles sees everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Visibility {
    /// By role. Somebody with several of these sees what the best of them sees.
    pub by_role: BTreeMap<Role, Sight>,
}

impl Visibility {
    /// Whether anybody sees less than everything.
    pub fn is_limited(&self) -> bool {
        self.by_role.values().any(|sight| *sight < Sight::Everything)
    }

    /// What somebody with these roles sees.
    pub fn of(&self, roles: &[Role]) -> Sight {
        roles.iter().filter_map(|role| self.by_role.get(role)).max().copied().unwrap_or_default()
    }
}
