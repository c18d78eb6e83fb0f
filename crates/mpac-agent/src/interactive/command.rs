//! What was typed at the prompt.

/// A command of the interactive mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Files,
    Help,
    /// An empty line.
    Nothing,
    Quit,
    RotateKey,
    Task(String),
    /// With the first word.
    Unknown(String),
    View(String),
    Who,
}

impl Command {
    pub(super) fn parse(line: &str) -> Self {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match (word.to_lowercase().as_str(), rest) {
            ("", _) => Self::Nothing,
            ("files" | "ls", "") => Self::Files,
            ("help" | "?", _) => Self::Help,
            ("quit" | "exit", "") => Self::Quit,
            ("rotate-key", "") => Self::RotateKey,
            ("task", text) if !text.is_empty() => Self::Task(text.to_owned()),
            ("view", path) if !path.is_empty() => Self::View(path.to_owned()),
            ("who", "") => Self::Who,
            _ => Self::Unknown(word.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_by_their_first_word() {
        for (line, command) in [
            ("", Command::Nothing),
            ("  quit ", Command::Quit),
            ("HELP me", Command::Help),
            ("view src/my file.py", Command::View("src/my file.py".to_owned())),
            ("task  mend  it", Command::Task("mend  it".to_owned())),
            ("files", Command::Files),
            ("who", Command::Who),
            ("rotate-key", Command::RotateKey),
        ] {
            assert_eq!(Command::parse(line), command, "{line}");
        }
    }

    #[test]
    fn half_a_command_and_a_bare_sentence_are_unknown() {
        for line in ["task", "view", "quit now", "mend the login"] {
            assert!(matches!(Command::parse(line), Command::Unknown(_)), "{line}");
        }
    }
}
