//! The entries of a log, lived through again by somebody who believes nothing that the log says of signatures, keys and outputs.

use std::collections::BTreeMap;

use mpac_core::{Notice, Output};
use mpac_wire::payload::ParticipantKeys;
use mpac_wire::signature::{short, signed_bytes};
use mpac_wire::transcript::Direction;
use mpac_wire::transcript::chain::in_chain;
use mpac_wire::{Envelope, Fingerprint, MessageType, PrincipalId, PublicKey, SessionId, Timestamp};
use serde::Serialize;

use super::agreed::Agreed;
use super::certified::{Came, Judged, Wrong};
use super::finding::{Class, Finding};
use super::gaps::Gaps;
use super::membership::Memberships;
use super::own_keys::OwnKeys;
use super::trust::{Trust, Why};
use crate::PROGRAM;
use crate::audit::accepted::{accepted, binds, counts};
use crate::audit::show::told;
use crate::audit::voice::{Said, Voice};
use crate::signing::Verifying;
use crate::store::entry::Entry;
use crate::store::replay::Replay;
use crate::store::seal::Seal;

/// A message that crossed the wire by the log and the rules.
#[derive(Debug)]
pub(super) struct Expected {
    /// Of which entry of the log it is.
    pub(super) log_seq: u64,
    pub(super) direction: Direction,
    pub(super) message_id: String,
    /// As it stands in a chain of messages; the coordinator's without their signatures.
    pub(super) content: String,
    /// It is the coordinator's, and has no form that a signature could be over.
    pub(super) has_no_form: bool,
    /// With which key the coordinator signed it.
    pub(super) key: Option<Fingerprint>,
    /// As [`Examiner::is_certain`] at that entry.
    pub(super) is_certain: bool,
}

/// Somebody's key, and why it is believed to be theirs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Believed {
    pub(super) principal_id: PrincipalId,
    pub(super) fingerprint: Fingerprint,
    /// Absent where nothing that is trusted says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<Why>,
}

/// The seals of a log.
#[derive(Debug, Default, Serialize)]
pub(super) struct Seals {
    /// Good ones.
    pub(super) good: u64,
    /// The last entry that a good one covers; 0 where there is none.
    pub(super) covered: u64,
    /// When that came.
    #[serde(skip)]
    pub(super) at: Option<Timestamp>,
}

/// What is found out along a log.
#[derive(Debug)]
pub(super) struct Examiner<'a> {
    trust: &'a Trust,
    replay: Replay,
    /// What it follows begins behind a state that no signature is over.
    has_base: bool,
    /// Another version that has written some of it.
    other_program: Option<String>,
    voice: Voice,
    pub(super) own: OwnKeys,
    /// The participants' keys, whoever had them.
    keys: BTreeMap<Fingerprint, PublicKey>,
    believed: BTreeMap<(PrincipalId, Fingerprint), Option<Why>>,
    pub(super) expected: Vec<Expected>,
    memberships: Memberships,
    agreed: Vec<Agreed>,
    pub(super) gaps: Gaps,
    pub(super) seals: Seals,
    pub(super) findings: Vec<Finding>,
    /// The last entry.
    pub(super) n: u64,
    /// When the first one came, and the last.
    pub(super) between: Option<(Timestamp, Timestamp)>,
}

impl<'a> Examiner<'a> {
    /// Of what `replay` follows from here on.
    pub(super) fn new(trust: &'a Trust, own: OwnKeys, replay: Replay) -> Self {
        let voice = Voice::before(&replay);
        let has_base = replay.session().is_some();
        let mut examiner = Self {
            trust,
            replay,
            has_base,
            other_program: None,
            voice,
            own,
            keys: BTreeMap::new(),
            believed: BTreeMap::new(),
            expected: Vec::new(),
            memberships: Memberships::default(),
            agreed: Vec::new(),
            gaps: Gaps::default(),
            seals: Seals::default(),
            findings: Vec::new(),
            n: 0,
            between: None,
        };
        if has_base {
            examiner.note_program();
        }
        examiner.learn_own();
        examiner.inherit();
        examiner
    }

    /// Whoever has joined before the first entry that is there: no HELLO shows their certificates.
    fn inherit(&mut self) {
        let Some((coordinator, _)) = self.replay.session() else { return };
        let view = coordinator.view();
        for told in view.keys() {
            let (who, key, fingerprint) = (told.principal_id, told.public_key, told.fingerprint);
            let because = self.trust.owner(&who, &key, None, view.now());
            if let Err(reason) = &because {
                let key = short(&fingerprint);
                let problem = format!("it joined before the first entry that is there, with {key}: {reason}");
                let mut finding = Finding::new(Class::UntrustedIdentity, problem);
                finding.principal_id = Some(who.clone());
                self.findings.push(finding);
            }
            self.believed.insert((who, fingerprint), because.ok());
            self.keys.insert(fingerprint, key);
        }
    }

    /// Looks at entry `n`.
    ///
    /// # Errors
    /// When it cannot stand there at all: nothing after it can be judged.
    pub(super) fn entry(&mut self, n: u64, entry: &Entry) -> Result<(), String> {
        self.n = n;
        let at = entry.at();
        self.between = Some((self.between.map_or(at, |(first, _)| first), at));
        if let Entry::Seal(seal) = entry {
            self.seal(n, seal);
        }
        let came = Came::with(entry);
        let signer = came.as_ref().and_then(|came| self.signature(n, came));
        let handed_over = self.replay.is_handed_over();
        if let Some((coordinator, _)) = self.replay.session() {
            self.gaps.note(n, entry, coordinator);
        }
        let (outputs, is_as_logged) = self.replay.live(entry.clone())?;
        self.note_program();
        if !is_as_logged {
            self.findings.push(self.otherwise().at_log(n));
        }
        self.learn_own();
        if matches!(entry, Entry::Fork(_)) {
            self.inherit();
        }
        for output in &outputs {
            if let Output::Notice(Notice::CoordinatorKey { key }) = output {
                self.own.announced(n, *key);
            }
        }
        if let Some(came) = &came {
            self.accept((n, entry.at()), came, signer, &outputs, handed_over);
        }
        self.expect(n, entry, &outputs);
        Ok(())
    }

    fn seal(&mut self, n: u64, seal: &Seal) {
        let key = seal.key().and_then(|key| self.own.trusted(&key).cloned());
        if key.is_some_and(|key| seal.is_by(&Verifying::Ed25519(key))) {
            (self.seals.good, self.seals.covered) = (self.seals.good + 1, seal.seq);
            self.seals.at = Some(seal.at);
            self.own.sealed(seal.seq);
        } else {
            let by = seal.key().map_or_else(|| "nobody".to_owned(), |key| short(&key));
            let problem = format!(
                "the seal by {by} is not good by any of the coordinator's keys that are trusted; if it has such a key, name it \
                 in the keys file"
            );
            self.findings.push(Finding::new(Class::BadSeal, problem).at_log(n));
        }
    }

    /// By which key a message is signed; what the coordinator made of it is compared with that.
    fn signature(&mut self, n: u64, came: &Came) -> Option<PublicKey> {
        let judged = came.judged();
        let session = self.replay.session();
        let view = session.map(|(coordinator, _)| coordinator.view());
        let keys = &self.keys;
        let find = |key: &Fingerprint| view.and_then(|view| view.key(key)).or_else(|| keys.get(key)).cloned();
        let wrong = match judged.check(&find) {
            Ok(signer) => return signer,
            Err(wrong) => wrong,
        };
        let (class, problem) = match wrong {
            Wrong::NotSigned => (
                Class::ForgedParticipantMessage,
                "its signature was taken for good, and is not good by any key of its sender",
            ),
            Wrong::GoodAfterAll if !session.is_some_and(|session| came.has_to_be_good(session)) => {
                return None;
            }
            Wrong::GoodAfterAll => {
                (Class::SuppressedParticipantMessage, "its signature is good, and was taken for bad")
            }
            // What authenticated sessions may have, and nobody but the coordinator can verify.
            Wrong::Blanked | Wrong::Secret => return None,
        };
        let is_uncertain = !self.is_certain() && !judged.shows_by_itself(wrong, &find);
        let finding = self.about(class, problem, n, &came.envelope).proven_by([came.text.clone()]);
        self.findings.push(Finding { is_uncertain, ..finding });
        None
    }

    /// What follows from a message besides its outputs: whose a key is, and what somebody agreed to.
    fn accept(
        &mut self,
        (n, at): (u64, Timestamp),
        came: &Came,
        signer: Option<PublicKey>,
        outputs: &[Output],
        handed_over: bool,
    ) {
        let envelope = &came.envelope;
        let asked = &envelope.message_type;
        let who = &envelope.sender.principal_id;
        if let Some(key) = &signer {
            self.keys.insert(key.fingerprint(), key.clone());
        }
        if *asked == MessageType::Hello && outputs.iter().any(lets_in) {
            self.identify(n, at, came, signer.as_ref());
        }
        let counts = needs_membership(asked) && counts(Some(asked), handed_over, outputs);
        if counts && let Some(until) = self.memberships.heard(who, at) {
            let problem = format!("it counts, and the certificate of its sender was over at {until}");
            self.findings.push(self.about(Class::UntrustedIdentity, &problem, n, envelope));
        }
        // Everybody is told of a key that takes the place of another.
        if let Some(before) = signer.as_ref().filter(|_| outputs.iter().any(tells_keys)) {
            self.rotated(who, before);
        }
        if binds(asked) && accepted(Some(asked), handed_over, outputs) {
            let key = signer.map(|key| key.fingerprint());
            let because = key.and_then(|key| self.believed.get(&(who.clone(), key)).copied().flatten());
            self.agreed.push(Agreed {
                log_seq: n,
                message_seq: None,
                at,
                principal_id: who.clone(),
                message_type: asked.clone(),
                message_id: envelope.message_id.to_string(),
                what: told(envelope),
                key,
                verified: because.is_some() && !self.memberships.is_over(who),
            });
        }
    }

    /// Somebody has joined, or has shown another credential: whether the key is theirs.
    fn identify(&mut self, n: u64, at: Timestamp, came: &Came, signer: Option<&PublicKey>) {
        let who = came.envelope.sender.principal_id.clone();
        let judged = came.judged();
        // What proves nothing takes no end away.
        if let Some(until) = signer.and_then(|_| judged.until(self.trust, at)) {
            self.memberships.joined(&who, until);
        }
        let key = match signer {
            Some(key) => key.clone(),
            // A credential was blanked, so nobody can verify the HELLO again; whose the key is has to be known all the same.
            None => match self.bound(&who, &came.said) {
                Some(key) => key,
                None => return,
            },
        };
        let place = (who, key.fingerprint());
        if self.believed.get(&place).is_some_and(Option::is_some) {
            return;
        }
        let because = judged.owner(self.trust, &key, at);
        if let Err(reason) = &because {
            let problem =
                format!("nothing that is trusted says that {} is its key: {reason}", short(&place.1));
            self.findings.push(self.about(Class::UntrustedIdentity, &problem, n, &came.envelope));
        }
        if because.is_ok() {
            self.keys.insert(key.fingerprint(), key);
        }
        self.believed.insert(place, because.ok());
    }

    /// The key that the session took for somebody's by what the host said of a signature.
    fn bound(&self, who: &PrincipalId, said: &mpac_core::Signed) -> Option<PublicKey> {
        let mpac_core::Signed::Good { key, .. } = said else { return None };
        let (coordinator, _) = self.replay.session()?;
        let mut keys = coordinator.view().keys();
        keys.find(|told| told.principal_id == *who && told.fingerprint == *key).map(|told| told.public_key)
    }

    /// A key whose owner has just signed with `before` may be one that takes its place.
    fn rotated(&mut self, who: &PrincipalId, before: &PublicKey) {
        let Some(because) = self.believed.get(&(who.clone(), before.fingerprint())).copied() else { return };
        let Some((coordinator, _)) = self.replay.session() else { return };
        for told in coordinator.view().keys().filter(|told| told.principal_id == *who) {
            let place = (told.principal_id, told.fingerprint);
            self.believed.entry(place).or_insert_with(|| because.map(|_| Why::Rotated));
            self.keys.entry(told.fingerprint).or_insert(told.public_key);
        }
    }

    /// The messages of the entry, as a chain should have them.
    fn expect(&mut self, n: u64, entry: &Entry, outputs: &[Output]) {
        for crossed in self.voice.crossed(entry, outputs, &self.replay) {
            let direction = crossed.direction();
            let (text, key) = match crossed.said {
                Said::Heard(text) => (text, None),
                Said::Spoken(envelope, key) => (envelope.to_json(), key),
            };
            let form = match direction {
                Direction::Inbound => Ok(in_chain(&text)),
                Direction::Outbound => signed_bytes(&text),
            };
            let has_no_form = form.is_err();
            let content = form.unwrap_or_else(|_| in_chain(&text));
            let message_id = serde_json::from_str::<Envelope>(&text).map(|it| it.message_id.to_string());
            let message_id = message_id.unwrap_or_default();
            self.expected.push(Expected {
                log_seq: n,
                direction,
                message_id,
                content,
                has_no_form,
                key,
                is_certain: self.is_certain(),
            });
        }
    }

    fn learn_own(&mut self) {
        if let Some((coordinator, _)) = self.replay.session()
            && let Some(key) = coordinator.view().coordinator_key()
        {
            self.own.learn(key);
        }
    }

    fn otherwise(&self) -> Finding {
        let version = self.other_program.as_ref().map_or_else(String::new, |program| {
            format!("; it, or what led to it, was written by {program}, and this is {PROGRAM}: verify it with that version")
        });
        let problem = format!("it led to other outputs than the rules give{version}");
        Finding { is_uncertain: !self.is_certain(), ..Finding::new(Class::WrongDigest, problem) }
    }

    /// The program that wrote it.
    pub(super) fn program(&self) -> &str {
        self.replay.program()
    }

    /// Another version that wrote some of it.
    pub(super) fn other_program(&self) -> Option<&str> {
        self.other_program.as_deref()
    }

    fn note_program(&mut self) {
        let program = self.replay.program();
        if program != PROGRAM {
            self.other_program.get_or_insert_with(|| program.to_owned());
        }
    }

    /// Whether what the rules give is what the coordinator had to do, so far: not where older entries are gone, and only a base says
    /// how it stood; and not where a version has written some of it that may have had other rules.
    pub(super) const fn is_certain(&self) -> bool {
        !self.has_base && self.other_program.is_none()
    }

    fn about(&self, class: Class, problem: &str, n: u64, envelope: &Envelope) -> Finding {
        let mut finding = Finding::new(class, problem).at_log(n).about(envelope.message_id.as_str());
        finding.principal_id = Some(envelope.sender.principal_id.clone());
        finding
    }

    /// The session's id, profile and coordinator.
    pub(super) fn session(&self) -> Option<(SessionId, String, PrincipalId)> {
        let (_, kept) = self.replay.session()?;
        let config = &kept.config;
        let profile = config.security_profile.as_str().to_owned();
        Some((config.session_id.clone(), profile, config.coordinator_id()))
    }

    /// By which of the participants' keys a message is signed, if by any.
    pub(super) fn participant(&self, text: &str, envelope: &Envelope) -> Option<Fingerprint> {
        let said = mpac_core::Signed::Missing;
        let judged = Judged { text, envelope, said: &said };
        let key = judged.signer(&|key| self.keys.get(key).cloned())?.fingerprint();
        self.believed.contains_key(&(envelope.sender.principal_id.clone(), key)).then_some(key)
    }

    /// Whose keys are whose, and who agreed to what.
    pub(super) fn finish(self) -> (Vec<Believed>, Vec<Agreed>) {
        let believed = self.believed.into_iter().map(|((principal_id, fingerprint), because)| Believed {
            principal_id,
            fingerprint,
            because,
        });
        (believed.collect(), self.agreed)
    }
}

/// Whether it is the answer to a HELLO that was accepted: also of somebody who was here already, and shows another credential.
fn lets_in(output: &Output) -> bool {
    matches!(output, Output::Send { envelope, .. } if envelope.message_type == MessageType::SessionInfo)
}

/// Whether its sender's credential must not be over (SEC-14). An error is never answered by one, so that nobody sees whether it counts.
fn needs_membership(message_type: &MessageType) -> bool {
    !matches!(message_type, MessageType::Goodbye | MessageType::ProtocolError)
}

fn tells_keys(output: &Output) -> bool {
    matches!(output, Output::Send { envelope, .. } if envelope.message_type.as_str() == ParticipantKeys::TYPE)
}
