//! A log lived through again: the coordinator it leads to, and the files that were committed.

use mpac_core::{Coordinator, Output};

use super::entry::{Entry, Repaired, Start};
use super::kept::Kept;
use crate::PROGRAM;

/// Follows a log entry by entry; every digest is made again and compared.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    session: Option<(Coordinator, Kept)>,
    /// The program that wrote what is being followed.
    program: String,
    repairs: Vec<Repaired>,
}

impl Replay {
    /// Goes on from a snapshot.
    pub(crate) fn from(session: (Coordinator, Kept), program: &str) -> Self {
        Self { session: Some(session), program: program.to_owned(), repairs: Vec::new() }
    }

    /// Follows one entry.
    ///
    /// # Errors
    /// Why it does not follow from those before.
    pub(crate) fn follow(&mut self, entry: Entry) -> Result<(), String> {
        self.outputs(entry).map(drop)
    }

    /// Follows one entry, and tells what it led to.
    ///
    /// # Errors
    /// As for [`follow`](Self::follow).
    pub(crate) fn outputs(&mut self, entry: Entry) -> Result<Vec<Output>, String> {
        match self.live(entry)? {
            (outputs, true) => Ok(outputs),
            (_, false) => Err(self.otherwise()),
        }
    }

    /// Follows one entry whatever the log says that it led to: tells what it leads to by the rules, and whether the log says
    /// the same.
    ///
    /// # Errors
    /// When it cannot stand there at all.
    pub(crate) fn live(&mut self, entry: Entry) -> Result<(Vec<Output>, bool), String> {
        let nothing = (Vec::new(), true);
        match entry {
            Entry::Open(start) if self.session.is_none() => {
                let coordinator = start.open().map_err(|error| error.to_string())?;
                self.begin(&start, coordinator)?;
                Ok(nothing)
            }
            Entry::Fork(forked) if self.session.is_none() => {
                self.session = Some(forked.load()?);
                forked.program().clone_into(&mut self.program);
                Ok(nothing)
            }
            Entry::Open(_) | Entry::Fork(_) => Err("opens a session that is open".to_owned()),
            Entry::TakeUp(start) => {
                let (before, _) = self.session.as_ref().ok_or("takes up a session that never began")?;
                let coordinator = start.take_up(before).map_err(|error| error.to_string())?;
                self.begin(&start, coordinator)?;
                Ok(nothing)
            }
            Entry::Input(happened) => {
                let (coordinator, kept) = self.session.as_mut().ok_or("comes before the session begins")?;
                let (record, expected) = happened.into_parts();
                let step = coordinator.apply(&record).map_err(|error| error.to_string())?;
                step.outputs.iter().for_each(|output| kept.hear(output));
                let is_as_logged = step.digest() == expected;
                Ok((step.outputs, is_as_logged))
            }
            Entry::Repaired(repaired) => {
                self.repairs.push(repaired);
                Ok(nothing)
            }
            Entry::Seal(seal) => match &self.session {
                Some((_, kept)) if kept.config.session_id == seal.session_id => Ok(nothing),
                _ => Err(format!("seals the log of session {}", seal.session_id)),
            },
        }
    }

    /// What a digest that differs means: damage leaves no entry whole, so it is the program, and another one.
    fn otherwise(&self) -> String {
        let program = &self.program;
        let said = format!("led to other outputs than those that were logged by {program}");
        if program == PROGRAM {
            return said;
        }
        format!(
            "{said}, and this is {PROGRAM}: start {program} once and stop it with Ctrl-C; its last snapshot is what this one \
             begins from"
        )
    }

    /// What became of the log where it was damaged, as far as it was followed.
    pub(crate) fn repairs(&self) -> &[Repaired] {
        &self.repairs
    }

    /// The program that wrote what was followed last.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// The session as the last entry left it.
    pub(crate) const fn session(&self) -> Option<&(Coordinator, Kept)> {
        self.session.as_ref()
    }

    /// Whether nothing that comes leads to anything any more, until it is taken up again.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.session.as_ref().is_some_and(|(coordinator, _)| coordinator.view().is_handed_over())
    }

    pub(crate) fn into_session(self) -> Option<(Coordinator, Kept)> {
        self.session
    }

    fn begin(&mut self, start: &Start, coordinator: Coordinator) -> Result<(), String> {
        let config = start.config().map_err(|error| error.to_string())?;
        start.program().clone_into(&mut self.program);
        let kept = match self.session.take() {
            Some((_, kept)) => kept.going_on(config),
            None => Kept::new(config),
        };
        self.session = Some((coordinator, kept));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mpac_core::{ConnId, Input, Peer, Record, SessionConfig};
    use mpac_wire::{SessionId, Timestamp};

    use super::*;
    use crate::store::entry::Happened;

    fn start(id: &str) -> Start {
        let config = SessionConfig::new(SessionId::new(id).unwrap());
        Start::new(&config, 7, Timestamp::from_micros(1)).unwrap()
    }

    fn input(seq: u64, outputs: &str) -> Entry {
        let input = Input::Frame { from: Peer::unproven(ConnId(1)), text: "{bad".into() };
        let record = Record::new(seq, Timestamp::from_micros(2), input);
        Entry::Input(Happened::new(&record, outputs.to_owned()).unwrap())
    }

    fn refused(entries: Vec<Entry>) -> String {
        let mut replay = Replay::default();
        entries.into_iter().find_map(|entry| replay.follow(entry).err()).unwrap()
    }

    #[test]
    fn an_entry_that_does_not_follow_is_refused_with_the_reason() {
        let open = || Entry::Open(start("s"));
        assert!(refused(vec![input(1, "")]).contains("before the session begins"));
        assert!(refused(vec![Entry::TakeUp(start("s"))]).contains("never began"));
        assert!(refused(vec![open(), open()]).contains("that is open"));
        assert!(refused(vec![open(), Entry::TakeUp(start("other"))]).contains("session_id"));
        assert!(refused(vec![open(), input(2, "")]).contains('2'), "the first is missing");
        let changed = refused(vec![open(), input(1, &"0".repeat(64))]);
        assert!(changed.contains("led to other outputs") && changed.contains("mpac-ws 0."), "{changed}");
        assert!(!changed.contains("start mpac-ws"), "it is this program's own: {changed}");
    }

    #[test]
    fn what_another_version_wrote_is_refused_with_the_next_step() {
        let text = serde_json::to_string(&Entry::Open(start("s"))).unwrap().replace(PROGRAM, "mpac-ws 0.0.1");
        let refused = refused(vec![serde_json::from_str(&text).unwrap(), input(1, &"0".repeat(64))]);
        assert!(refused.contains("start mpac-ws 0.0.1 once and stop it"), "{refused}");
    }
}
