//! How the program ends, in numbers.

use crate::agent::TurnedDown;
use crate::brain::BrainError;
use crate::error::AgentError;

/// The exit codes, for `--help`.
pub const TABLE: &str = "\
Exit codes:
  0  done
  1  failed for another reason
  2  bad usage: nothing was done
  3  somebody else was first: the files are held, the file has moved on, or the claim went to another
  4  refused: by the coordinator, or by a rule before anything was sent
  5  no session: nobody there, the connection ended, or the session is closed
  6  undecided: no answer came in time, so look at the session before you repeat it";

/// The code that a verb's failure ends with.
#[must_use]
pub fn code(error: &AgentError) -> u8 {
    match error {
        AgentError::Usage(_)
        | AgentError::Brain(BrainError::NoKey | BrainError::BadAddress(_) | BrainError::NoPrice(_)) => 2,
        AgentError::NotDone(outcome) => outcome.exit_code(),
        AgentError::Stale { .. } | AgentError::AlwaysStale { .. } => 3,
        AgentError::TurnedDown(refusal) if was_first(refusal) => 3,
        AgentError::TurnedDown(_)
        | AgentError::Refused { .. }
        | AgentError::NotLetIn { .. }
        | AgentError::Rejected { .. }
        | AgentError::Withheld { .. }
        | AgentError::TooLarge { .. }
        | AgentError::Unsupported { .. }
        | AgentError::Overruled(_)
        | AgentError::PreCommit
        | AgentError::StateRefFormat(_) => 4,
        AgentError::NobodyThere { .. }
        | AgentError::CannotConnect { .. }
        | AgentError::Lost(_)
        | AgentError::SessionClosed(_) => 5,
        AgentError::NoAnswer { .. }
        | AgentError::Ignored { .. }
        | AgentError::Unsettled { .. }
        | AgentError::Undecided { .. }
        | AgentError::GaveUp { .. } => 6,
        _ => 1,
    }
}

fn was_first(refusal: &TurnedDown) -> bool {
    refusal.is_stale()
        || ["STALE_INTENT", "CLAIM_CONFLICT", "CLAIM_REJECTED", "RESOLUTION_CONFLICT"]
            .contains(&refusal.code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_verbs_says_the_same() {
        let page = include_str!("../../VERBS.md");
        for line in TABLE.lines().skip(1) {
            let (code, means) = line.trim().split_once("  ").unwrap();
            assert!(page.contains(&format!("| {code} | {means} |")), "{line}");
        }
    }

    #[test]
    fn each_code_has_its_line() {
        let lost = AgentError::Lost("x".to_owned());
        let unsettled = AgentError::Unsettled { what: "x".to_owned() };
        let first = TurnedDown::claim("x", "original_owner_rejoined".to_owned());
        let refused = TurnedDown::rejected("x", "policy_violation".to_owned());
        for (error, expected) in [
            (AgentError::Usage("x".to_owned()), 2),
            (AgentError::TurnedDown(Box::new(first)), 3),
            (AgentError::TurnedDown(Box::new(refused)), 4),
            (AgentError::NotLetIn { code: "CREDENTIAL_REJECTED".to_owned(), description: "x".to_owned() }, 4),
            (lost, 5),
            (unsettled, 6),
            (AgentError::Terminal("x".to_owned()), 1),
        ] {
            assert_eq!(code(&error), expected, "{error}");
            assert!(TABLE.contains(&format!("\n  {expected}  ")), "{expected}");
        }
    }
}
