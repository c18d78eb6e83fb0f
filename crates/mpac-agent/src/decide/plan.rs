//! Whether a plan can be announced.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::brain::Plan;

const MAX_PATH_BYTES: usize = 1_024;
/// Directories of version control. A file in there may be run by the next command of a person (a hook, a filter).
const METADATA: [&str; 3] = [".git", ".hg", ".svn"];

/// Why a plan is refused. The text also goes back to the model, once, so that it can correct itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanFault {
    /// No objective.
    #[error("the objective is empty")]
    NoObjective,
    /// Neither existing nor new files.
    #[error("it names no file to write")]
    NoFiles,
    /// A file that is not there.
    #[error("there is no file `{0}` in the workspace; a file to be created belongs under new_files")]
    Unknown(String),
    /// A path for a new file that leaves the workspace or that not every system can hold.
    #[error(
        "`{0}` cannot be created: paths are relative, with `/` between plain names, without `..`, `\\`, `:` or control characters"
    )]
    Unsafe(String),
    /// A path for a new file inside the data of version control.
    #[error(
        "`{0}` cannot be created: it belongs to version control, and a file there may be run without anybody looking"
    )]
    Metadata(String),
}

/// Checks a plan against the files there are: `./` is cut off, repeats go, and a new file that exists is an
/// existing one.
///
/// # Errors
/// The first [`PlanFault`].
pub fn check_plan(plan: Plan, existing: &BTreeSet<String>) -> Result<Plan, PlanFault> {
    let objective = plan.objective.trim().to_owned();
    if objective.is_empty() {
        return Err(PlanFault::NoObjective);
    }
    let mut checked = Plan { objective, in_order: plan.in_order, ..Plan::default() };
    let named = plan.files.iter().map(|path| (path, false));
    for (path, new) in named.chain(plan.new_files.iter().map(|path| (path, true))) {
        let path = path.strip_prefix("./").unwrap_or(path);
        let list = match (existing.contains(path), new) {
            (true, _) => &mut checked.files,
            (false, true) if is_metadata(path) => return Err(PlanFault::Metadata(path.to_owned())),
            (false, true) if is_safe(path) => &mut checked.new_files,
            (false, true) => return Err(PlanFault::Unsafe(path.to_owned())),
            (false, false) => return Err(PlanFault::Unknown(path.to_owned())),
        };
        if !list.iter().any(|known| known == path) {
            list.push(path.to_owned());
        }
    }
    if checked.files.is_empty() && checked.new_files.is_empty() {
        return Err(PlanFault::NoFiles);
    }
    Ok(checked)
}

fn is_safe(path: &str) -> bool {
    let plain = |name: &str| !matches!(name, "" | "." | "..");
    let harmless = |letter: char| !letter.is_control() && !matches!(letter, '\\' | ':');
    path.len() <= MAX_PATH_BYTES && path.split('/').all(plain) && path.chars().all(harmless)
}

/// Whether it is inside the data of version control.
pub(crate) fn is_metadata(path: &str) -> bool {
    // Without case: on some file systems `.GIT` is `.git`.
    path.split('/').any(|name| METADATA.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str], new_files: &[&str]) -> Result<Plan, PlanFault> {
        let owned = |list: &[&str]| list.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let existing = BTreeSet::from(["a.py".to_owned(), "src/b.py".to_owned()]);
        check_plan(
            Plan {
                objective: " mend ".to_owned(),
                files: owned(files),
                new_files: owned(new_files),
                in_order: true,
            },
            &existing,
        )
    }

    #[test]
    fn a_good_plan_is_tidied() {
        let plan = check(&["./a.py", "a.py", "src/b.py"], &["new/c.py", "a.py"]).unwrap();
        assert_eq!(plan.objective, "mend");
        assert_eq!(plan.files, ["a.py", "src/b.py"]);
        assert_eq!(plan.new_files, ["new/c.py"]);
        assert!(plan.in_order);
    }

    #[test]
    fn a_file_that_is_not_there_is_refused_by_name() {
        assert_eq!(check(&["a.py", "c.py"], &[]), Err(PlanFault::Unknown("c.py".to_owned())));
    }

    #[test]
    fn new_files_stay_inside_the_workspace() {
        for path in
            ["/etc/passwd", "../x", "a/../../x", "a//b", "", ".", "a/", "C:x", "a\\b", "a\nb", "././x"]
        {
            assert_eq!(
                check(&[], &[path]),
                Err(PlanFault::Unsafe(path.strip_prefix("./").unwrap_or(path).to_owned())),
                "{path:?}"
            );
        }
        let long = "x".repeat(MAX_PATH_BYTES + 1);
        assert_eq!(check(&[], &[&long]), Err(PlanFault::Unsafe(long.clone())));
    }

    #[test]
    fn nothing_is_created_where_version_control_keeps_its_own() {
        for path in [".git/hooks/post-commit", "sub/.GIT/config", ".hg/hgrc", "./.svn/x"] {
            assert!(matches!(check(&[], &[path]), Err(PlanFault::Metadata(_))), "{path}");
        }
        assert!(check(&[], &[".github/workflows/x.yml", ".gitignore", "git/x"]).is_ok());
    }

    #[test]
    fn a_plan_without_files_or_objective_is_none() {
        assert_eq!(check(&[], &[]), Err(PlanFault::NoFiles));
        let empty = Plan { objective: " ".to_owned(), ..Plan::default() };
        assert_eq!(check_plan(empty, &BTreeSet::new()), Err(PlanFault::NoObjective));
    }
}
