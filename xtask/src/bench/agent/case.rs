//! What is measured: how many agents, on which files, and what they do about a conflict.

/// A kind of round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// How many are at work at once.
    pub(super) agents: usize,
    /// What they work on.
    pub(super) files: Files,
}

/// Which files the agents change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// So many each, no two the same.
    Disjoint(usize),
    /// All the same one, with this answer of the model about the conflict.
    Same(OnConflict),
}

/// What the model says about every conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnConflict {
    /// Go on.
    Proceed,
    /// Give way.
    Yield,
    /// Go on if the own name comes first in the alphabet.
    First,
}

/// In the order of the alphabet.
pub(super) const NAMES: [&str; 3] = ["Alice", "Bob", "Carol"];

impl Case {
    /// All of them.
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![
            Self { agents: 2, files: Files::Disjoint(1) },
            Self { agents: 3, files: Files::Disjoint(1) },
            Self { agents: 2, files: Files::Disjoint(3) },
        ];
        for rule in [OnConflict::Proceed, OnConflict::Yield, OnConflict::First] {
            all.extend([2, 3].map(|agents| Self { agents, files: Files::Same(rule) }));
        }
        all
    }

    /// In words.
    pub(super) fn name(&self) -> String {
        let what = match self.files {
            Files::Disjoint(1) => "disjoint files".to_owned(),
            Files::Disjoint(each) => format!("disjoint files, {each} each"),
            Files::Same(OnConflict::Proceed) => "same file, all proceed".to_owned(),
            Files::Same(OnConflict::Yield) => "same file, all yield".to_owned(),
            Files::Same(OnConflict::First) => "same file, first name wins".to_owned(),
        };
        format!("{} agents, {what}", self.agents)
    }

    /// The files of the agent at this place.
    pub(super) fn files_of(&self, at: usize) -> Vec<String> {
        let numbers = match self.files {
            Files::Disjoint(each) => at * each..(at + 1) * each,
            Files::Same(_) => 0..1,
        };
        numbers.map(|number| format!("file_{number}.py")).collect()
    }

    /// The most that coordination may cost beside the model's calls, in milliseconds.
    pub(super) fn limit_ms(&self) -> f64 {
        match self.files {
            Files::Disjoint(_) => 50.0,
            Files::Same(_) => 100.0,
        }
    }

    /// The longest chain of calls that the task and its conflict need. Texts of one task can be written at once.
    pub(super) fn calls_needed(&self) -> usize {
        match self.files {
            Files::Disjoint(_) => 2,
            Files::Same(OnConflict::Proceed) => 2 + self.agents,
            // The first one's plan and text; then the rest as if they began, but for their plans.
            Files::Same(OnConflict::Yield | OnConflict::First) if self.agents > 2 => 2 + self.agents,
            Files::Same(OnConflict::Yield | OnConflict::First) => 3,
        }
    }

    /// What the stand-in is started with.
    pub(super) fn rule(&self) -> &'static str {
        match self.files {
            Files::Disjoint(_) | Files::Same(OnConflict::Proceed) => "proceed",
            Files::Same(OnConflict::Yield) => "yield",
            Files::Same(OnConflict::First) => "first",
        }
    }

    /// Whether everybody's text must be there in the end; who yields may leave the work to the others.
    pub(super) fn keeps_all(&self) -> bool {
        matches!(self.files, Files::Disjoint(_) | Files::Same(OnConflict::Proceed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_and_disjoint_files_are() {
        let names: BTreeSet<String> = Case::all().iter().map(Case::name).collect();
        assert_eq!(names.len(), Case::all().len());
        for case in Case::all() {
            let files: Vec<String> = (0..case.agents).flat_map(|at| case.files_of(at)).collect();
            let different: BTreeSet<&String> = files.iter().collect();
            let is_disjoint = different.len() == files.len();
            assert_eq!(is_disjoint, matches!(case.files, Files::Disjoint(_)), "{}", case.name());
        }
    }
}
