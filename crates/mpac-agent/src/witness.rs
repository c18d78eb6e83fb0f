//! `--record`: every frame that went either way, as a line of JSON. What two participants hold against a coordinator's log is
//! what each of them has heard and said (SEC-29): `mpac-ws audit verify --witness` compares.
//!
//! A line is `{"at":"2026-11-28T23:05:07.123456Z","direction":"sent","frame":{...}}`: the moment by the agent's clock, `sent` or
//! `received`, and the frame as it was, number by number, so that its signature can be verified. Only line breaks between its
//! members are spaces here, and a frame that is no JSON is a text. Of credentials that are secrets only the type stays; certificates
//! do, because they show whose signatures these are.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use mpac_wire::Timestamp;
use mpac_wire::redact::{BLANK, blank_credentials};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::AgentError;
use crate::private_file;

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the coordinator.
    Received,
    /// To the coordinator: it was given to the socket, and may have been lost there.
    Sent,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    direction: Direction,
    frame: &'a RawValue,
}

/// The file with everything that was heard and said.
#[derive(Debug)]
pub struct Witness {
    path: PathBuf,
    file: File,
}

impl Witness {
    /// Goes on at the end of the file, or begins it: for its owner alone to read.
    ///
    /// # Errors
    /// [`AgentError::Usage`] when it cannot be written.
    pub fn open(path: &Path) -> Result<Self, AgentError> {
        match private_file::append(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file }),
            Err(error) => Err(AgentError::Usage(format!("--record {}: {error}", path.display()))),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a frame: whole lines, also when several agents write into one file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&mut self, at: Timestamp, direction: Direction, frame: &str) -> io::Result<()> {
        // A secret is a member called so, however it is spelled.
        let may_have_one = frame.contains("credential") || frame.contains("\\u");
        let blanked = may_have_one.then(|| blank_credentials(frame).unwrap_or_else(|_| BLANK.to_owned()));
        let frame = one_line(blanked.as_deref().unwrap_or(frame))?;
        let line = Line { at: at.to_string(), direction, frame: &frame };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}

/// The JSON on one line: within texts there are no line breaks.
fn one_line(frame: &str) -> serde_json::Result<Box<RawValue>> {
    match RawValue::from_string(frame.replace(['\n', '\r'], " ")) {
        Ok(json) => Ok(json),
        Err(_) => serde_json::value::to_raw_value(frame),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn frames_are_kept_as_they_were_but_for_secrets() {
        let path = std::env::temp_dir().join(format!("mpac-witness-{}", std::process::id()));
        let hello = |kind: &str, value: &str| {
            format!(r#"{{"payload":{{"credential":{{"type":"{kind}","value":"{value}"}}}},"n":1.50}}"#)
        };
        let chain = r"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for frames in [
            vec![hello("api_key", "hunter2"), "{\n  \"n\": 1.50\n}".to_owned(), "no\nJSON".to_owned()],
            vec![
                hello("x509_chain", chain),
                r#"{"payload":{"credenti\u0061l":{"value":"hunter2"}}}"#.to_owned(),
            ],
        ] {
            let mut witness = Witness::open(&path).unwrap();
            for frame in frames {
                witness.note(Timestamp::from_micros(5), Direction::Sent, &frame).unwrap();
            }
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 5, "the second run went on where the first had ended");
        assert_eq!(lines[0]["direction"], "sent");
        assert_eq!(lines[0]["at"], "1970-01-01T00:00:00.000005Z");
        assert!(text.lines().nth(1).unwrap().ends_with(r#""frame":{   "n": 1.50 }}"#), "{text}");
        assert_eq!(lines[2]["frame"], "no\nJSON");
        let whole: Value = serde_json::from_str(&hello("x509_chain", chain)).unwrap();
        assert_eq!(lines[3]["frame"], whole);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_file(&path).unwrap();
    }
}
