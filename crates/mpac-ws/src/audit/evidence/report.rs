//! What was found out, for people and for programs.

use std::fmt::Write as _;

use mpac_wire::signature::short;
use mpac_wire::{Fingerprint, SessionId};
use serde::Serialize;

use super::agreed::Agreed;
use super::examine::{Believed, Seals};
use super::finding::{By, Finding};
use super::gaps::Repair;
use super::trust::Why;
use crate::PROGRAM;
use crate::audit::text::{harmless, harmless_json};

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) session_id: SessionId,
    pub(super) security_profile: String,
    /// The program that wrote the log.
    pub(super) program: String,
    /// Another version than this, where one has written some of it: only that one can tell what its rules give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) other_program: Option<String>,
    /// The first entry of the log that is there.
    pub(super) first: u64,
    /// Why that is not the first of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) begins: Option<String>,
    /// How it was repaired, where it was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) repairs: Vec<Repair>,
    /// The last one.
    pub(super) last: u64,
    /// Messages in the chain; absent where only the log was looked at, in which the coordinator's words are not written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) messages: Option<u64>,
    /// Whether the coordinator's signature covers that chain and that log as wholes.
    pub(super) has_good_head: bool,
    pub(super) coordinator_keys: Vec<OwnKey>,
    pub(super) seals: Seals,
    pub(super) participants: Vec<Believed>,
    pub(super) agreed: Vec<Agreed>,
    /// Messages that witnesses have kept.
    pub(super) witnessed: u64,
    /// Those of them that the coordinator signed before or after all that is here.
    pub(super) witnessed_outside: u64,
    pub(super) findings: Vec<Finding>,
    /// How many of them the coordinator's own signature proves.
    pub(super) coordinator_lied: usize,
    pub(super) verified: bool,
}

/// A key of the coordinator's.
#[derive(Debug, Serialize)]
pub(super) struct OwnKey {
    pub(super) fingerprint: Fingerprint,
    /// Absent where nothing that is trusted says that it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<Why>,
}

impl Report {
    /// One JSON object.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        Ok(harmless_json(&serde_json::to_string(self)?).into_owned() + "\n")
    }

    /// Lines for people.
    pub(super) fn lines(&self) -> String {
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let (id, profile) = (harmless(self.session_id.as_str()), harmless(&self.security_profile));
        write!(text, "session {id} ({profile}): entries {} to {} of the log", self.first, self.last)?;
        match self.messages {
            Some(messages) => writeln!(text, ", {messages} messages")?,
            None => writeln!(text)?,
        }
        if let Some(why) = &self.begins {
            writeln!(text, "what was before entry {} is not there: {}", self.first, harmless(why))?;
        }
        for it in &self.repairs {
            writeln!(
                text,
                "entry {}: repaired at {} ({}) after entry {}; {} entries behind it that could be read are lost, what it was made \
                 from is in {}",
                it.log_seq,
                it.at,
                harmless(&it.way),
                it.after,
                it.lost,
                harmless(&it.aside)
            )?;
        }
        if let Some(program) = &self.other_program {
            let program = harmless(program);
            writeln!(
                text,
                "{program} has written some of it, and this is {PROGRAM}: only that one can tell what its rules give"
            )?;
        }
        writeln!(text, "{}", self.sealed())?;
        writeln!(text, "the coordinator's keys")?;
        for key in &self.coordinator_keys {
            writeln!(text, "  {} {}", short(&key.fingerprint), because(key.because))?;
        }
        writeln!(text, "the participants' keys")?;
        for it in &self.participants {
            let who = harmless(it.principal_id.as_str());
            writeln!(text, "  {} {who} {}", short(&it.fingerprint), because(it.because))?;
        }
        writeln!(text, "who agreed to what ({})", self.agreed.len())?;
        self.agreed.iter().try_for_each(|it| agreed(text, it))?;
        if self.witnessed > 0 {
            writeln!(text, "{} messages that witnesses have kept are looked up", self.witnessed)?;
        }
        if self.witnessed_outside > 0 {
            writeln!(
                text,
                "{} of them are earlier or later than all that is here, and are not in it: of another session of this name, \
                 said since this was made, or cut off",
                self.witnessed_outside
            )?;
        }
        if !self.findings.is_empty() {
            writeln!(text, "what does not verify ({})", self.findings.len())?;
        }
        self.findings.iter().try_for_each(|it| finding(text, it))?;
        writeln!(text, "{}", self.verdict())
    }

    fn sealed(&self) -> String {
        let head = if self.has_good_head { "the coordinator's signature covers all of it; " } else { "" };
        match (self.seals.good, self.last.saturating_sub(self.seals.covered)) {
            (0, _) => format!("{head}there is no good seal in the log"),
            // The last seal itself has none.
            (good, 0 | 1) => format!("{head}{good} good seals, the last behind entry {}", self.seals.covered),
            (good, after) => format!(
                "{head}{good} good seals, the last behind entry {}: the {} entries after it have none",
                self.seals.covered,
                after - 1
            ),
        }
    }

    fn verdict(&self) -> String {
        // Outside verified sessions a message need not be signed, and then it is the coordinator's word that somebody sent it.
        let unproven = match self.agreed.iter().filter(|it| !it.verified).count() {
            0 => String::new(),
            count => format!("; that {count} of those agreed is the coordinator's word alone"),
        };
        let said = match self.messages {
            Some(_) => "the coordinator said what follows by the rules",
            None => "the log is what follows by the rules",
        };
        match (self.findings.len(), self.coordinator_lied) {
            (0, _) => format!("ok: everything that is signed verifies, and {said}{unproven}"),
            (all, 0) => {
                format!("BAD: {all} things do not verify; that it is the coordinator's doing is not proven")
            }
            (all, lied) => {
                format!("BAD: {all} things do not verify, {lied} of them by the coordinator's own signature")
            }
        }
    }
}

fn agreed(text: &mut String, it: &Agreed) -> std::fmt::Result {
    let place = match it.message_seq {
        Some(seq) => format!("message {seq}, entry {}", it.log_seq),
        None => format!("entry {}", it.log_seq),
    };
    let by = match (&it.key, it.verified) {
        (Some(key), true) => format!("signed by {}", short(key)),
        (Some(key), false) => format!("signed by {}, which nobody that is trusted vouches for", short(key)),
        (None, _) => "NOT SIGNED".to_owned(),
    };
    let who = harmless(it.principal_id.as_str());
    writeln!(text, "  {place}, {}: {who} {}; {by}", it.at, it.what)
}

fn finding(text: &mut String, it: &Finding) -> std::fmt::Result {
    let mut place = Vec::new();
    place.extend(it.message_seq.map(|seq| format!("message {seq}")));
    place.extend(it.log_seq.map(|n| format!("entry {n}")));
    place.extend(it.message_id.as_ref().map(|id| harmless(id)));
    place.extend(it.principal_id.as_ref().map(|who| format!("of {}", harmless(who.as_str()))));
    let by = if it.by == By::Coordinator { " (the coordinator signed it)" } else { "" };
    writeln!(text, "  {}{by}: {}: {}", it.class.name(), place.join(", "), harmless(&it.problem))?;
    it.proof.iter().try_for_each(|proof| writeln!(text, "    {}", harmless(proof)))
}

fn because(why: Option<Why>) -> &'static str {
    match why {
        Some(Why::Named) => "(the keys file names it)",
        Some(Why::Certified) => "(its certificate leads to a trust anchor)",
        Some(Why::Rotated) => "(a trusted key signed that it takes its place)",
        None => "NOT TRUSTED",
    }
}
