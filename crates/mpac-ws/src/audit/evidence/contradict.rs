//! The chain of messages against what should be in it: what came, and what follows from that by the rules.

use std::collections::{BTreeMap, BTreeSet};

use mpac_wire::signature::signed_bytes;
use mpac_wire::transcript::{Chain, Direction};
use mpac_wire::{Envelope, Fingerprint};
use serde_json::value::RawValue;

use super::compare::compare;
use super::examine::Expected;
use super::finding::{Class, Finding};
use super::forms::{Forms, may_be_of_one};
use super::own_keys::OwnKeys;

/// An entry of the chain.
#[derive(Debug)]
pub(super) struct Actual {
    pub(super) seq: u64,
    pub(super) direction: Direction,
    pub(super) message_id: String,
    /// As [`Expected::content`].
    pub(super) content: String,
    /// The whole message.
    pub(super) text: String,
    /// The trusted key of the coordinator's that signed it, if it is the coordinator's.
    pub(super) signer: Option<Fingerprint>,
}

/// Reads a chain, up to the first entry that does not follow. The coordinator's keys are learned on the way.
pub(super) fn read(links: &[Box<RawValue>], own: &mut OwnKeys) -> (Vec<Actual>, Chain, Option<Finding>) {
    let (mut chain, mut all) = (Chain::default(), Vec::with_capacity(links.len()));
    for link in links {
        let link = match chain.follow(link.get()) {
            Ok(link) => link,
            Err(broken) => {
                let finding = Finding::new(Class::BrokenChain, broken.to_string()).at_message(broken.seq);
                return (all, chain, Some(finding));
            }
        };
        let text = link.envelope.into_owned();
        let envelope = serde_json::from_str::<Envelope>(&text).ok();
        let message_id = envelope.as_ref().map(|it| it.message_id.to_string()).unwrap_or_default();
        let (mut content, mut signer) = (text.clone(), None);
        if link.direction == Direction::Outbound {
            content = signed_bytes(&text).unwrap_or(content);
            signer = envelope.as_ref().and_then(|envelope| own.signer(&text, envelope));
            if let (Some(_), Some(envelope)) = (&signer, &envelope) {
                own.hear(envelope);
            }
        }
        let (seq, direction) = (link.seq, link.direction);
        all.push(Actual { seq, direction, message_id, content, text, signer });
    }
    (all, chain, None)
}

/// What good signatures of the coordinator's cover: anything else somebody else may have changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vouched {
    /// The whole chain and the whole log.
    pub(super) whole: bool,
    /// As [`Examiner::is_certain`](super::examine::Examiner::is_certain) at the end.
    pub(super) certain: bool,
}

impl Vouched {
    /// So that what the rules give is certain.
    const fn rules(self) -> bool {
        self.whole && self.certain
    }

    /// The same at one entry.
    const fn rules_at(self, expected: &Expected) -> bool {
        self.whole && expected.is_certain
    }
}

/// What contradicts.
pub(super) fn contradictions(expected: &[Expected], actual: &[Actual], vouched: Vouched) -> Vec<Finding> {
    let mut findings = unsigned(expected, actual);
    let differences = compare(
        &expected.iter().map(|it| (way(it.direction), it.content.as_str())).collect::<Vec<_>>(),
        &actual.iter().map(|it| (way(it.direction), it.content.as_str())).collect::<Vec<_>>(),
    );
    let mut by_id: BTreeMap<&str, &Expected> = BTreeMap::new();
    for &at in &differences.missing {
        if expected[at].direction == Direction::Outbound {
            by_id.insert(&expected[at].message_id, &expected[at]);
        }
    }
    for &at in &differences.extra {
        let it = &actual[at];
        let instead =
            by_id.get(it.message_id.as_str()).copied().filter(|_| it.direction == Direction::Outbound);
        if instead.is_some() {
            by_id.remove(it.message_id.as_str());
        }
        findings.extend(extra(it, instead, vouched));
    }
    for &at in &differences.missing {
        let it = &expected[at];
        // One that stands there under the same id is told of already.
        if it.direction == Direction::Inbound || by_id.contains_key(it.message_id.as_str()) {
            findings.push(missing(it, vouched));
        }
    }
    for (at, place) in differences.moved {
        let (should, is) = (&expected[at], &actual[place]);
        let problem = format!("it belongs to entry {} of the log, and stands elsewhere", should.log_seq);
        let finding = Finding::new(Class::Reordered, problem).by_coordinator(vouched.rules_at(should));
        findings.push(finding.at_message(is.seq).at_log(should.log_seq).about(&is.message_id));
    }
    findings.extend(versions(actual, &Forms::of(expected), vouched));
    findings
}

/// Words of the coordinator's that it did not sign, or signed with a key that was not the one then. What follows by the rules and
/// has no form to be signed, which only sessions let in where nothing has to be (SEC-22), is as it should be.
fn unsigned(expected: &[Expected], actual: &[Actual]) -> Vec<Finding> {
    let without_form: BTreeSet<&str> =
        expected.iter().filter(|it| it.has_no_form).map(|it| it.content.as_str()).collect();
    let keys: BTreeMap<&str, Option<Fingerprint>> =
        expected.iter().filter(|it| it.key.is_some()).map(|it| (it.content.as_str(), it.key)).collect();
    let outbound = actual.iter().filter(|it| it.direction == Direction::Outbound);
    let wrong = outbound.filter_map(|it| {
        let problem = match (it.signer, keys.get(it.content.as_str()).copied().flatten()) {
            (None, _) if without_form.contains(it.content.as_str()) => return None,
            (None, _) => "it is not signed by a key of the coordinator's that is trusted",
            (Some(signer), Some(key)) if signer != key => {
                "it is signed by another key than the one of that moment"
            }
            (Some(_), _) => return None,
        };
        let finding = Finding::new(Class::UnsignedCoordinatorMessage, problem).at_message(it.seq);
        Some(finding.about(&it.message_id).proven_by([it.text.clone()]))
    });
    wrong.collect()
}

fn extra(it: &Actual, instead: Option<&Expected>, vouched: Vouched) -> Option<Finding> {
    let finding = match (it.direction, instead) {
        (Direction::Inbound, _) => {
            let problem = "a participant's message that is not in the log";
            Finding::new(Class::UnloggedMessage, problem).by_coordinator(vouched.whole)
        }
        // It says nothing about the coordinator, and is told of already.
        (Direction::Outbound, _) if it.signer.is_none() => return None,
        (Direction::Outbound, Some(expected)) => {
            let problem = format!("the rules give another message at entry {} of the log", expected.log_seq);
            let finding =
                Finding::new(Class::AlteredOutput, problem).by_coordinator(vouched.rules_at(expected));
            finding.at_log(expected.log_seq).proven_by([expected.content.clone()])
        }
        (Direction::Outbound, None) => {
            let problem = "the coordinator signed what does not follow by the rules";
            Finding::new(Class::OutputNotByRules, problem).by_coordinator(vouched.rules())
        }
    };
    Some(finding.at_message(it.seq).about(&it.message_id).proven_by([it.text.clone()]))
}

fn missing(it: &Expected, vouched: Vouched) -> Finding {
    let (class, problem, is_certain) = match it.direction {
        Direction::Inbound => {
            let problem = "a message of the log that is not in the chain of messages";
            (Class::UnloggedMessage, problem, vouched.whole)
        }
        Direction::Outbound => {
            let problem = "the rules give a message that the coordinator did not say";
            (Class::MissingOutput, problem, vouched.rules_at(it))
        }
    };
    let finding = Finding::new(class, problem).by_coordinator(is_certain).at_log(it.log_seq);
    finding.about(&it.message_id).proven_by([it.content.clone()])
}

/// Messages of the coordinator's that are there twice, and not the same; the rules may give several forms of one.
fn versions(actual: &[Actual], given: &Forms<'_>, vouched: Vouched) -> Vec<Finding> {
    let mut first: BTreeMap<&str, &Actual> = BTreeMap::new();
    let mut findings = Vec::new();
    for it in actual.iter().filter(|it| it.direction == Direction::Outbound && it.signer.is_some()) {
        match first.get(it.message_id.as_str()) {
            Some(other)
                if other.content != it.content
                    && !given.are_of_one(&it.message_id, &other.content, &it.content) =>
            {
                let problem = format!("two versions of one message, the other is message {}", other.seq);
                // That the session shows some of its members less is said by what it began with.
                let is_lie = vouched.certain || !may_be_of_one(&other.content, &it.content);
                let finding =
                    Finding::new(Class::TwoVersions, problem).by_coordinator(is_lie).at_message(it.seq);
                findings.push(finding.about(&it.message_id).proven_by([other.text.clone(), it.text.clone()]));
            }
            Some(_) => {}
            None => {
                first.insert(&it.message_id, it);
            }
        }
    }
    findings
}

const fn way(direction: Direction) -> bool {
    matches!(direction, Direction::Outbound)
}
