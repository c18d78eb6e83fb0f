//! One thing done in a session: join, do it, leave.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mpac_wire::names::{AckType, Decision, Severity};
use mpac_wire::{ConflictId, IntentId, OpId, PrincipalId, StateRef};

use super::connection::Joining;
use super::exit::TABLE;
use super::heartbeat::Heartbeat;
use super::task::Task;
use super::words::{ack, decision, kind, objective, own_file, pair, severity, shared, state_ref};

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Tell the others what you are about to do
    ///
    /// The intent stays, also when this program has left, until its time is over or `withdraw` ends it under the same name.
    /// With --hold the program stays as well, prolongs the intent, shows what happens, and withdraws the intent at Ctrl-C.
    #[command(after_help = TABLE)]
    Announce(Announce),
    /// Change an own intent: its words, its files, its time
    #[command(after_help = TABLE)]
    Update(Update),
    /// End an own intent
    #[command(after_help = TABLE)]
    Withdraw(Withdraw),
    /// Take over an intent whose owner is gone, or has handed it over
    ///
    /// Waits for the decision. The new intent stays as that of `announce` does.
    #[command(after_help = TABLE)]
    Claim(Claim),
    /// Step back from files that somebody else works on, and wait until they are free
    ///
    /// The others see that you wait. Ends when the work there has ended, or when --ttl-sec is over.
    #[command(after_help = TABLE)]
    Defer(Defer),
    /// Propose a change, and commit it once it is authorised
    #[command(after_help = TABLE)]
    Propose(Commit),
    /// Put a local file's text in place of a shared one: announce, commit, withdraw
    #[command(after_help = TABLE)]
    Commit(Commit),
    /// Commit several files in one message, all of them or none
    #[command(after_help = TABLE)]
    Batch(Batch),
    /// Replace what an own commit brought
    #[command(after_help = TABLE)]
    Supersede(Supersede),
    /// Do a whole task, as --task does: plan, announce, settle conflicts, write, commit, leave
    ///
    /// With --json what happens are lines of JSON, those for people go to standard error, and what became of it is the last.
    #[command(after_help = TABLE)]
    Task(Box<Task>),
    /// Say what you are at, and see what is left of your intents
    ///
    /// Brings back what was suspended while nobody of this name was heard of. With --hold the program stays until Ctrl-C, so that
    /// the others see what you are at, and your intents stay yours: it sends a heartbeat as often as the session wants one.
    #[command(after_help = TABLE)]
    Heartbeat(Heartbeat),
    /// Acknowledge a conflict
    #[command(after_help = TABLE)]
    Ack(Ack),
    /// Hand a conflict on to an owner or arbiter
    #[command(after_help = TABLE)]
    Escalate(Escalate),
    /// Settle a conflict, or decide on a claim or a proposal that waits for approval, by its id
    #[command(after_help = TABLE)]
    Resolve(Resolve),
    /// Report a conflict that nobody else has seen
    #[command(after_help = TABLE)]
    Report(Report),
    /// Show what happens, as it happens
    #[command(after_help = TABLE, visible_alias = "log")]
    Watch(Watch),
    /// Show who works on what
    #[command(after_help = TABLE)]
    Who(Look),
    /// Show the conflicts that are not settled
    #[command(after_help = TABLE)]
    Conflicts(Look),
    /// List the shared files
    #[command(after_help = TABLE)]
    Files(Look),
    /// Print a shared file
    #[command(after_help = TABLE)]
    Cat(Cat),
}

/// Options of `announce`.
#[derive(Debug, Args)]
pub struct Announce {
    /// The files that it is about, each by its name: that of a directory covers nothing in it
    #[arg(required = true, value_name = "FILE", value_parser = own_file)]
    pub files: Vec<String>,
    /// What for, in words
    #[arg(long, short = 'm', value_name = "TEXT", value_parser = objective)]
    pub objective: String,
    /// How long it lives; with --hold again and again
    #[arg(long, default_value_t = 1_800, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub ttl_sec: u32,
    /// Stay until Ctrl-C, and withdraw it then
    #[arg(long)]
    pub hold: bool,
    /// With --hold: leave it for somebody to claim instead
    #[arg(long, requires = "hold")]
    pub hand_over: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a documented group of options would get this as its heading")]
    pub joining: Joining,
}

/// Options of `update`.
#[derive(Debug, Args)]
pub struct Update {
    /// Which
    #[arg(value_name = "INTENT")]
    pub intent: IntentId,
    /// What for, from now on
    #[arg(long, short = 'm', value_name = "TEXT", value_parser = objective)]
    pub objective: Option<String>,
    /// A file that it is about from now on, in place of all before; may be repeated
    #[arg(long = "file", value_name = "FILE", value_parser = own_file)]
    pub files: Vec<String>,
    /// How long it lives from now on
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub ttl_sec: Option<u32>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `withdraw`.
#[derive(Debug, Args)]
pub struct Withdraw {
    /// Which
    #[arg(value_name = "INTENT")]
    pub intent: IntentId,
    /// Why: `task_completed` and `yielded` are known to the others' agents
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `claim`.
#[derive(Debug, Args)]
pub struct Claim {
    /// Which; `who` shows those that are suspended
    #[arg(value_name = "INTENT")]
    pub intent: IntentId,
    /// Whose it is [default: as the server tells]
    #[arg(long, value_name = "PRINCIPAL")]
    pub owner: Option<PrincipalId>,
    /// A file of it; may be repeated [default: all of them, as the server tells]
    #[arg(long = "file", value_name = "FILE", value_parser = own_file)]
    pub files: Vec<String>,
    /// What for [default: as its owner said]
    #[arg(long, short = 'm', value_name = "TEXT", value_parser = objective)]
    pub objective: Option<String>,
    /// Why you
    #[arg(long, value_name = "TEXT")]
    pub justification: Option<String>,
    /// How long to wait for the decision
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub wait_sec: u32,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `defer`.
#[derive(Debug, Args)]
pub struct Defer {
    /// The files
    #[arg(required = true, value_name = "FILE", value_parser = shared)]
    pub files: Vec<String>,
    /// How long to wait
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub ttl_sec: u32,
    /// Why
    #[arg(long, default_value = "yielded", value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `commit` and `propose`.
#[derive(Debug, Args)]
pub struct Commit {
    /// The shared file
    #[arg(value_name = "FILE", value_parser = own_file)]
    pub file: String,
    /// The local file with its new text; - is standard input
    #[arg(long, value_name = "LOCAL")]
    pub from: PathBuf,
    /// The state that the new text is based on, as `cat --json` tells it [default: the one it is in now]
    #[arg(long, value_name = "STATE_REF", value_parser = state_ref)]
    pub base: Option<StateRef>,
    /// The own live intent to commit under, which covers what is committed and stays [default: one of this name for it, else one for this alone]
    #[arg(long, value_name = "INTENT")]
    pub intent: Option<IntentId>,
    /// What has changed, for the others
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub summary: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `batch`.
#[derive(Debug, Args)]
pub struct Batch {
    /// A shared file and the local one with its new text
    #[arg(required = true, value_name = "FILE=LOCAL", value_parser = pair)]
    pub changes: Vec<(String, PathBuf)>,
    /// Commit what can be, instead of all or nothing
    #[arg(long)]
    pub best_effort: bool,
    /// The own live intent to commit under, which covers what is committed and stays [default: one of this name for it, else one for this alone]
    #[arg(long, value_name = "INTENT")]
    pub intent: Option<IntentId>,
    /// What has changed, for the others
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub summary: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `supersede`.
#[derive(Debug, Args)]
pub struct Supersede {
    /// The operation to replace, as `commit` told it
    #[arg(value_name = "OPERATION")]
    pub op: OpId,
    /// Its shared file
    #[arg(value_name = "FILE", value_parser = own_file)]
    pub file: String,
    /// The local file with the text in place of it; - is standard input
    #[arg(long, value_name = "LOCAL")]
    pub from: PathBuf,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `ack`.
#[derive(Debug, Args)]
pub struct Ack {
    /// Which; `conflicts` shows them
    #[arg(value_name = "CONFLICT")]
    pub conflict: ConflictId,
    /// seen, accepted or disputed
    #[arg(long = "as", default_value = "seen", value_name = "HOW", value_parser = ack)]
    pub how: AckType,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `escalate`.
#[derive(Debug, Args)]
pub struct Escalate {
    /// Which; `conflicts` shows them
    #[arg(value_name = "CONFLICT")]
    pub conflict: ConflictId,
    /// To whom: an owner or arbiter
    #[arg(long, value_name = "PRINCIPAL")]
    pub to: PrincipalId,
    /// Why
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `resolve`.
#[derive(Debug, Args)]
pub struct Resolve {
    /// Which: a conflict's, a claim's or a proposal's id
    #[arg(value_name = "CONFLICT")]
    pub conflict: ConflictId,
    /// approved, rejected, dismissed, human_override, policy_override or merged
    #[arg(long, value_name = "WORD", value_parser = decision)]
    pub decision: Decision,
    /// Why
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub rationale: Option<String>,
    /// An intent or operation that goes on; may be repeated
    #[arg(long = "accept", value_name = "ID")]
    pub accepted: Vec<String>,
    /// One that does not; may be repeated
    #[arg(long = "reject", value_name = "ID")]
    pub rejected: Vec<String>,
    /// How a committed operation that is rejected is to be undone
    #[arg(long, value_name = "TEXT")]
    pub rollback: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// The intents that do not go together
    #[arg(required = true, num_args = 1.., value_name = "INTENT")]
    pub intents: Vec<IntentId>,
    /// Why not
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub description: String,
    /// info, low, medium, high or critical
    #[arg(long, default_value = "medium", value_name = "HOW", value_parser = severity)]
    pub severity: Severity,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Only events of this kind, by their name in the JSON; may be repeated
    #[arg(long = "only", value_name = "KIND", value_parser = kind)]
    pub only: Vec<String>,
    /// End after so many events [default: at Ctrl-C, or when the session ends]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub for_sec: Option<u32>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of what only looks.
#[derive(Debug, Args)]
pub struct Look {
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

/// Options of `cat`.
#[derive(Debug, Args)]
pub struct Cat {
    /// The shared file
    #[arg(value_name = "FILE", value_parser = shared)]
    pub file: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}
