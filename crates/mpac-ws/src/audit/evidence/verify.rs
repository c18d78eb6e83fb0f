//! `audit verify --keys`: who agreed to what, and to what extent a coordinator lied, without believing it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use mpac_wire::transcript::Direction;

use super::agreed::Agreed;
use super::bundle::{Bundle, Exported};
use super::contradict::{Actual, Vouched, contradictions, read};
use super::examine::{Examiner, Expected};
use super::finding::{By, Class, Finding};
use super::own_keys::OwnKeys;
use super::report::{OwnKey, Report};
use super::trust::{Trust, Why};
use super::witness::{Known, Witnessed};
use crate::audit::access::{self, Shows};
use crate::audit::problem::Problem;
use crate::audit::progress::Progress;
use crate::audit::read::again;
use crate::audit::which;
use crate::cli::audit::Place;
use crate::cli::evidence::Against;
use crate::store::loose::Loose;
use crate::store::read::Damage;
use crate::store::reading::{Begins, Reading, from_text};
use crate::store::replay::Replay;

/// Says what was found out, and whether all of it verifies.
pub(in crate::audit) fn verify(place: &Place, options: &Against, out: &mut dyn Write) -> Result<(), Problem> {
    let Some(keys) = &options.keys else { return Ok(()) };
    let trust = Trust::read(keys)?;
    let report = match &options.bundle {
        Some(path) => of_bundle(&trust, &Bundle::read(path)?, options)?,
        None => of_log(&trust, place, options)?,
    };
    let text = if options.json { report.json().map_err(io::Error::other) } else { Ok(report.lines()) };
    out.write_all(text.map_err(Problem::Output)?.as_bytes()).map_err(Problem::Output)?;
    if report.verified { Ok(()) } else { Err(Problem::Contradicted(report.findings.len())) }
}

/// A log and what else there is of a session, looked at.
struct Looked<'a> {
    examiner: Examiner<'a>,
    first: u64,
    begins: Option<String>,
    /// The chain of messages, where there is one.
    actual: Option<Vec<Actual>>,
    has_good_head: bool,
    /// Found before the log was looked at.
    before: Vec<Finding>,
}

/// A session in a data directory. What the coordinator said is not written down there: it is what follows by the rules.
fn of_log(trust: &Trust, place: &Place, options: &Against) -> Result<Report, Problem> {
    let which = which::one(place)?;
    access::note(&which, "audit verify --keys", Shows::Events)?;
    let unusable = |damage: Damage| {
        let gone = || "it was deleted meanwhile, because it is kept no longer".to_owned();
        let reason = if which.dir.exists() { damage.to_string() } else { gone() };
        Problem::Log { path: which.dir.clone(), reason }
    };
    let look = || examined(trust, &which.dir, &Reading::open(&which.dir)?);
    let (examiner, begins) = again(look).map_err(unusable)?;
    let first = begins.as_ref().map_or(1, |begins| begins.after + 1);
    let begins = begins.map(|begins| begins.why);
    let before = Vec::new();
    Looked { examiner, first, begins, actual: None, has_good_head: false, before }.report(options)
}

/// The log in `dir`, looked at up to where it is damaged, and where it begins.
///
/// # Errors
/// When it could not be read at this moment, which says nothing about what is in it.
pub(super) fn examined<'a>(
    trust: &'a Trust,
    dir: &Path,
    reading: &Reading,
) -> Result<(Examiner<'a>, Option<Begins>), Damage> {
    let replay = reading.replay().map_err(io::Error::other)?;
    let mut examiner = Examiner::new(trust, OwnKeys::new(trust), replay);
    let mut progress = Progress::new();
    let read = reading.entries(&mut |found, entry| {
        progress.count(found);
        examiner.entry(found.n, &entry).map(ControlFlow::Continue)
    });
    progress.clear();
    match read {
        // Deleted as a whole meanwhile, or in part.
        Err(damage) if !dir.exists() || matches!(damage, Damage::Deleted) => return Err(damage),
        Err(damage) if damage.is_of_the_system() => return Err(damage),
        Err(damage) => {
            let n = examiner.n;
            examiner.findings.push(Finding::new(Class::BrokenLog, damage.to_string()).at_log(n));
        }
        Ok(_) => {}
    }
    Ok((examiner, reading.begins().cloned()))
}

/// A bundle.
fn of_bundle(trust: &Trust, bundle: &Bundle, options: &Against) -> Result<Report, Problem> {
    let unreadable =
        |reason: String| Problem::NoBundle { path: options.bundle.clone().unwrap_or_default(), reason };
    let transcript = bundle.transcript().map_err(|error| unreadable(error.to_string()))?;
    let mut own = OwnKeys::new(trust);
    bundle.coordinator_keys.iter().for_each(|key| own.learn(&key.public_key));
    let (actual, chain, broken) = read(&transcript.log_chain, &mut own);
    let chain_is_whole = broken.is_none();
    let mut before: Vec<Finding> = broken.into_iter().collect();
    before.extend(other_transcript(&transcript, &actual));
    let (replay, base) = match &bundle.base {
        Some(base) => from_text(base).map(|(replay, after)| (replay, Some(after))).map_err(unreadable)?,
        None => (Replay::default(), None),
    };
    let first = base.as_ref().map_or(1, |base| base.n + 1);
    let mut records = Loose::behind(base);
    let mut examiner = Examiner::new(trust, own, replay);
    for record in &bundle.log {
        let n = records.end().n + 1;
        let looked = records.read(record).and_then(|entry| examiner.entry(n, &entry));
        if let Err(reason) = looked {
            before.push(Finding::new(Class::BrokenLog, format!("it {reason}")).at_log(n));
            break;
        }
    }
    let head = &bundle.head;
    let by = head.key().and_then(|key| examiner.own.trusted(&key).cloned());
    let id = examiner.session().map(|(id, ..)| id);
    let ids = [&head.session_id, &bundle.session_id, &transcript.session_id];
    let is_signed = by.is_some_and(|key| head.is_by(&key)) && ids.iter().all(|it| id.as_ref() == Some(*it));
    let has_good_head = is_signed && head.is_of(&chain, records.end());
    if !is_signed {
        let problem =
            "the head is not signed by a key of the coordinator's that is trusted, or is of another session";
        before.push(Finding::new(Class::BadSeal, problem));
    } else if !has_good_head && chain_is_whole {
        let problem = format!(
            "the head is of {} messages and {} entries, and there are {} and {}, or they end otherwise",
            head.seq,
            head.log_seq,
            chain.seq(),
            records.end().n
        );
        before.push(Finding::new(Class::OtherHead, problem));
    }
    let begins = bundle.begins.as_ref().map(|begins| begins.why.clone());
    Looked { examiner, first, begins, actual: Some(actual), has_good_head, before }.report(options)
}

/// The chain is what counts; whoever reads only the list of messages is not to be misled.
fn other_transcript(transcript: &Exported, actual: &[Actual]) -> Option<Finding> {
    // Credentials are shorter in the list, so the signature stands for the rest.
    let essence = |text: &str| {
        let it: mpac_wire::Envelope = serde_json::from_str(text).ok()?;
        // What the list leaves out, as it has no readable payload.
        it.payload.get().trim_start().starts_with('{').then(|| (it.message_id.to_string(), it.signature))
    };
    let mut listed: Vec<_> = transcript.messages.iter().filter_map(|it| essence(it.get())).collect();
    let chained = actual.iter().filter_map(|it| match serde_json::from_str::<String>(&it.text) {
        // A frame without a canonical form stands in the chain as a text.
        Ok(frame) => essence(&frame),
        Err(_) => essence(&it.text),
    });
    let mut chained: Vec<_> = chained.collect();
    listed.sort();
    chained.sort();
    let problem = "the list of messages is not the one of the chain; the chain is what counts";
    (listed != chained).then(|| Finding::new(Class::OtherTranscript, problem))
}

impl Looked<'_> {
    fn report(self, options: &Against) -> Result<Report, Problem> {
        let Self { mut examiner, first, begins, actual, has_good_head, mut before } = self;
        let Some((session_id, security_profile, _)) = examiner.session() else {
            return Err(Problem::NothingFollowed(
                before.first().map(|it| it.problem.clone()).unwrap_or_default(),
            ));
        };
        if examiner.own.is_empty() {
            return Err(Problem::NothingSigned { session: session_id.to_string() });
        }
        // What is broken cannot be compared: nobody knows what followed.
        let is_whole = !before.iter().any(|it| matches!(it.class, Class::BrokenChain | Class::BrokenLog));
        if let Some(actual) = actual.as_ref().filter(|_| is_whole) {
            let vouched = Vouched { whole: has_good_head, certain: examiner.is_certain() };
            before.extend(contradictions(&examiner.expected, actual, vouched));
        }
        let covered = if has_good_head { examiner.n } else { examiner.seals.covered };
        before.extend(blamed(&mut examiner, covered));
        let vouched = match &actual {
            _ if has_good_head => examiner.between.map(|(_, last)| last),
            // Seals are over the log; the rules give from it what was said, if they start from what is sealed too and are this version's.
            None if examiner.is_certain() => examiner.seals.at,
            _ => None,
        };
        let known = Known::of(&examiner, actual.as_deref(), vouched);
        let mut witnessed = Witnessed::default();
        for path in &options.witness {
            known.compare(path, &examiner, &mut witnessed)?;
        }
        before.append(&mut witnessed.findings);
        let by_file = |named| if named { Why::Named } else { Why::Rotated };
        let trusted = examiner.own.all_trusted().map(|(key, named)| (*key, Some(by_file(named))));
        let keys = trusted.chain(examiner.own.strangers().map(|key| (*key, None)));
        let coordinator_keys = keys.map(|(fingerprint, because)| OwnKey { fingerprint, because }).collect();
        let (program, last) = (examiner.program().to_owned(), examiner.n);
        let other_program = examiner.other_program().map(str::to_owned);
        let repairs = std::mem::take(&mut examiner.gaps).into_repairs();
        let (expected, seals) = (std::mem::take(&mut examiner.expected), std::mem::take(&mut examiner.seals));
        let (participants, mut agreed) = examiner.finish();
        if let Some(actual) = &actual {
            place(&mut agreed, &expected, actual);
        }
        Ok(Report {
            session_id,
            security_profile,
            program,
            other_program,
            first,
            begins,
            repairs,
            last,
            messages: actual.map(|actual| actual.len() as u64),
            has_good_head,
            coordinator_keys,
            seals,
            participants,
            agreed,
            witnessed: witnessed.messages,
            witnessed_outside: witnessed.outside,
            coordinator_lied: before.iter().filter(|it| it.by == By::Coordinator).count(),
            verified: before.is_empty(),
            findings: before,
        })
    }
}

/// What was found along the log, up to entry `covered` under the coordinator's own signature.
fn blamed(examiner: &mut Examiner<'_>, covered: u64) -> Vec<Finding> {
    let mut findings = std::mem::take(&mut examiner.findings);
    for finding in &mut findings {
        let is_sealed = finding.log_seq.is_some_and(|n| n <= covered);
        let is_lie = matches!(
            finding.class,
            Class::WrongDigest | Class::ForgedParticipantMessage | Class::SuppressedParticipantMessage
        );
        if is_sealed && is_lie && !finding.is_uncertain {
            finding.by = By::Coordinator;
        }
    }
    findings
}

/// Says of each commitment which message of the chain it is.
fn place(agreed: &mut [Agreed], expected: &[Expected], actual: &[Actual]) {
    let inbound = expected.iter().filter(|it| it.direction == Direction::Inbound);
    let contents: BTreeMap<u64, &str> = inbound.map(|it| (it.log_seq, it.content.as_str())).collect();
    let mut seqs: BTreeMap<&str, u64> = BTreeMap::new();
    for it in actual.iter().filter(|it| it.direction == Direction::Inbound) {
        seqs.entry(&it.content).or_insert(it.seq);
    }
    for it in agreed {
        it.message_seq = contents.get(&it.log_seq).and_then(|content| seqs.get(content)).copied();
    }
}
