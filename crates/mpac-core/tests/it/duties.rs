//! What a session asks of a participant before it works, and after it was overruled.

use mpac_core::Refusal;
use mpac_core::participant::{News, Stage, Withheld};
use mpac_core::table::operation::State;
use mpac_wire::names::{Atomicity, CoordinatorEvent, Decision, ExecutionModel, Role};
use mpac_wire::payload::session::BackendDetail;
use mpac_wire::payload::{
    Backend, BackendHealth, BatchEntry, ConflictEscalate, ConflictReport, Goodbye, Heartbeat, IntentWithdraw,
    OpBatchCommit, OpPropose, Outcome, Resolution, SessionInfo,
};
use mpac_wire::{Scope, Seconds, StateRef};

use crate::covers;
use crate::lone::{COORDINATOR, Lone, announce, commit, governed, pre_commit, session_info, status};
use crate::precommit::batch;
use crate::world::{World, config, intent, op};

fn authorization(of: &str) -> mpac_wire::payload::CoordinatorStatus {
    let mut status = status(CoordinatorEvent::Authorization, COORDINATOR);
    status.authorized_op_id = Some(op(of));
    status
}

fn propose(id: &str, under: &str, target: &str) -> OpPropose {
    let mut propose = OpPropose::new(op(id), target.to_owned(), "replace".into());
    propose.intent_id = Some(intent(under));
    propose
}

#[test]
fn in_a_pre_commit_session_only_the_own_authorisation_counts() {
    covers!("OPS-24", "OPS-25", "OPS-31", "PAR-10", "PAR-11");
    let mut bob = Lone::joined_to(pre_commit());
    assert!(bob.who.needs_authorisation());
    bob.accepted(announce("i", &["a", "b"]));
    bob.say(propose("o1", "i", "a")).unwrap();
    assert!(!bob.who.may_apply(&op("o1")));
    let early = bob.withheld(commit("o1", Some("i"), "a", "1", "2"));
    assert_eq!(early, Withheld::NotAuthorised(op("o1")));
    assert_eq!(bob.coordinator(authorization("o2")).news, [], "somebody else's");
    assert!(!bob.who.may_apply(&op("o1")));
    // A relay of the same operation is no authorisation either.
    bob.peer("amy", commit("o1", None, "a", "1", "2"));
    assert_eq!(bob.who.operation(&op("o1")).unwrap().stage, Stage::Asked);
    assert_eq!(bob.coordinator(authorization("o1")).news, [News::Authorised(op("o1"))]);
    assert!(bob.who.may_apply(&op("o1")));
    assert_eq!(bob.who.to_complete().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["o1"]);
    bob.accepted(commit("o1", Some("i"), "a", "1", "2"));
    assert_eq!(bob.who.to_complete().count(), 0);
    assert_eq!(bob.who.operation(&op("o1")).unwrap().stage, Stage::Committed);
    // A first OP_COMMIT is a request, its echo from a Python server proves nothing.
    let request = bob.say(commit("o3", Some("i"), "b", "1", "2")).unwrap();
    bob.echo(&request);
    assert_eq!(bob.who.operation(&op("o3")).unwrap().stage, Stage::Asked);
    assert_eq!(bob.withheld(commit("o3", Some("i"), "b", "1", "2")), Withheld::NotAuthorised(op("o3")));
}

#[test]
fn what_takes_no_commit_any_more_is_not_carried_out_again() {
    covers!("PAR-12", "LIV-12", "OPS-25", "OPS-31", "D-096");
    for (state, stage) in [
        (State::Committed, Stage::Committed),
        (State::Superseded, Stage::Committed),
        (State::Rejected, Stage::Rejected),
        (State::Abandoned, Stage::Rejected),
        (State::Proposed, Stage::Authorised),
    ] {
        let mut bob = Lone::joined_to(pre_commit());
        bob.accepted(announce("i", &["a"]));
        bob.say(propose("o1", "i", "a")).unwrap();
        bob.coordinator(authorization("o1"));
        let done = bob.say(commit("o1", Some("i"), "a", "1", "2")).unwrap();
        let refusal = Refusal::OperationState { op: op("o1"), state };
        bob.refuse(&done, refusal.code().as_str(), &refusal.to_string());
        assert_eq!(bob.who.operation(&op("o1")).unwrap().stage, stage, "{state:?}");
        assert_eq!(bob.who.may_apply(&op("o1")), stage == Stage::Authorised, "{state:?}");
        assert_eq!(bob.who.to_complete().count(), usize::from(stage == Stage::Authorised), "{state:?}");
    }
    // What is said of another operation is not said of this one.
    let mut bob = Lone::joined_to(pre_commit());
    bob.accepted(announce("i", &["a"]));
    bob.say(propose("o1", "i", "a")).unwrap();
    bob.coordinator(authorization("o1"));
    let done = bob.say(commit("o1", Some("i"), "a", "1", "2")).unwrap();
    bob.refuse(&done, "INVALID_REFERENCE", "operation o12 is Committed");
    assert!(bob.who.may_apply(&op("o1")));
}

#[test]
fn what_is_said_of_one_entry_holds_for_a_batch_that_is_all_or_nothing() {
    covers!("PAR-12", "OPS-31", "D-096");
    let (one, other) = (("o1", "a", "1", "2"), ("o2", "b", "1", "2"));
    for (atomicity, second) in
        [(Atomicity::AllOrNothing, Stage::Committed), (Atomicity::BestEffort, Stage::Authorised)]
    {
        let mut bob = Lone::joined_to(pre_commit());
        bob.accepted(announce("i", &["a", "b"]));
        bob.say(batch("n", atomicity.clone(), &[one, other])).unwrap();
        bob.coordinator(authorization("o1"));
        bob.coordinator(authorization("o2"));
        let done = bob.say(batch("n", atomicity.clone(), &[one, other])).unwrap();
        bob.refuse(&done, "INVALID_REFERENCE", "operation o1 is Committed");
        let stages = ["o1", "o2"].map(|id| bob.who.operation(&op(id)).unwrap().stage);
        assert_eq!(stages, [Stage::Committed, second], "{atomicity}");
    }
}

#[test]
fn people_may_take_their_time_to_authorise() {
    covers!("OPS-25", "PAR-12");
    let mut bob = Lone::joined_to(pre_commit());
    bob.accepted(announce("i", &["a", "b"]));
    bob.say(commit("o1", Some("i"), "a", "1", "2")).unwrap();
    let lost = bob.say(propose("o2", "i", "b")).unwrap().message_id;
    bob.pass(59.0);
    bob.status();
    assert_eq!(bob.pass(0.0), [], "a request is not overdue");
    assert_eq!(bob.coordinator(authorization("o1")).news, [News::Authorised(op("o1"))]);
    let done = bob.accepted(commit("o1", Some("i"), "a", "1", "2"));
    assert_eq!(bob.who.fate(&done), Some(&mpac_core::participant::Fate::Accepted));
    // A break leaves it open whether the proposal has arrived.
    assert!(bob.who.connection_lost(bob.now).contains(&News::Unanswered(lost)));
}

#[test]
fn a_proposal_through_a_real_pre_commit_session() {
    covers!("OPS-24", "OPS-25", "PAR-10");
    let mut config = config();
    config.compliance_profile = mpac_wire::names::ComplianceProfile::Governance;
    config.execution_model = ExecutionModel::PreCommit;
    let mut world = World::with(config);
    for name in ["alice", "bob"] {
        world.join(name, &[Role::Contributor]);
        let scope: &[&str] = &[name];
        world.try_say(name, announce(&format!("i-{name}"), scope)).unwrap();
    }
    world.news("bob");
    world.try_say("alice", propose("oa", "i-alice", "alice")).unwrap();
    assert_eq!(world.news("bob"), [], "alice's authorisation is not bob's");
    world.try_say("bob", propose("ob", "i-bob", "bob")).unwrap();
    assert_eq!(world.news("bob"), [News::Authorised(op("ob"))]);
    world.try_say("bob", commit("ob", Some("i-bob"), "bob", "1", "2")).unwrap();
    assert_eq!(world.who("bob").operation(&op("ob")).unwrap().stage, Stage::Committed);
}

#[test]
fn in_a_governance_session_work_is_announced_first() {
    covers!("INT-02", "INT-01", "PAR-12");
    let mut bob = Lone::joined_to(governed());
    for message in [commit("o1", None, "a", "1", "2"), commit("o1", Some("never"), "a", "1", "2")] {
        assert_eq!(bob.withheld(message), Withheld::IntentNeeded);
    }
    assert!(!bob.who.is_announced("a"));
    let waiting = bob.say(announce("i", &["a"])).unwrap();
    assert_eq!(bob.withheld(commit("o1", Some("i"), "a", "1", "2")), Withheld::IntentNeeded, "no echo yet");
    bob.echo(&waiting);
    assert!(bob.who.is_announced("./a") && !bob.who.is_announced("b"));
    assert!(bob.say(commit("o1", Some("i"), "a", "1", "2")).is_ok());
    let mut exempt = governed();
    let mut policy = mpac_wire::policy::GovernancePolicy::new();
    policy.require_intent = Some(false);
    exempt.governance_policy = Some(policy);
    assert!(Lone::joined_to(exempt).say(commit("o1", None, "a", "1", "2")).is_ok());
    assert!(Lone::joined().say(commit("o1", None, "a", "1", "2")).is_ok(), "a core session only advises it");
}

#[test]
fn work_that_is_done_releases_its_scope() {
    covers!("INT-23", "BYE-02", "PAR-20");
    let mut bob = Lone::working();
    bob.accepted(announce("j", &["b"]));
    let mut done = IntentWithdraw::new(intent("i"));
    done.reason = Some("task_completed".into());
    bob.accepted(done);
    assert!(!bob.who.is_announced("a") && bob.who.is_announced("b"));
    let stamp = bob.stamp();
    let goodbye = bob.who.goodbye(stamp, "user_exit".into(), "withdraw".into());
    assert!(goodbye.payload.get().ends_with(r#""active_intents":["j"]}"#), "{}", goodbye.payload.get());
    assert_eq!(bob.withheld(announce("k", &["k"])), Withheld::NotAdmitted, "a leaver says HELLO first");
    bob.echo(&goodbye);
    assert!(bob.who.intents().is_empty());
    bob.hello();
    bob.coordinator(session_info());
    assert!(bob.say(announce("k", &["k"])).is_ok());
}

#[test]
fn leaving_with_transfer_leaves_the_intents_to_others() {
    covers!("PAR-20", "PAR-22");
    let mut bob = Lone::working();
    let mut goodbye = Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some("transfer".into());
    bob.accepted(goodbye);
    bob.hello();
    bob.coordinator(session_info());
    assert_eq!(
        bob.withheld(commit("o", Some("i"), "a", "1", "2")),
        Withheld::IntentSuspended(intent("i")),
        "until the coordinator says that it is restored"
    );
}

#[test]
fn scopes_say_what_their_kind_needs_and_uris_where_kinds_are_mixed() {
    covers!("SCO-01", "SCO-13");
    let of_kind =
        |id: &str, scope: Scope| mpac_wire::payload::IntentAnnounce::new(intent(id), "o".into(), scope);
    let mut bob = Lone::working();
    assert_eq!(
        bob.withheld(of_kind("j", Scope::new("file_set".into()))),
        Withheld::ScopeIncomplete("resources")
    );
    assert!(bob.say(of_kind("j", Scope::entities(["e"]))).is_ok(), "an open session");
    let mut secured = session_info();
    secured.security_profile = "authenticated".into();
    let mut bob = Lone::joined_to(secured);
    bob.accepted(announce("i", &["a"]));
    assert!(bob.say(announce("k", &["b"])).is_ok(), "one kind only");
    let mut scope = Scope::entities(["e"]);
    assert_eq!(bob.withheld(of_kind("j", scope.clone())), Withheld::UrisNeeded);
    scope.canonical_uris = Some(vec!["resource://x/e".into()]);
    bob.accepted(of_kind("j", scope));
    assert_eq!(bob.withheld(announce("l", &["c"])), Withheld::UrisNeeded, "now it holds for every kind");
}

fn conflict(id: &str) -> ConflictReport {
    let mut report = ConflictReport::new(id.parse().unwrap(), "scope_overlap".into(), "medium".into());
    report.related_intents = Some(vec![intent("i")]);
    report
}

fn overruling(rejected: &[&str], rollback: Option<&str>) -> Resolution {
    let mut resolution = Resolution::new("c".parse().unwrap(), Decision::PolicyOverride);
    let mut outcome = Outcome::new();
    outcome.rejected = Some(rejected.iter().map(|id| (*id).to_owned()).collect());
    outcome.rollback = rollback.map(Into::into);
    resolution.outcome = Some(outcome);
    resolution
}

#[test]
fn a_loser_undoes_what_it_has_committed() {
    covers!("GOV-21", "FRZ-15", "D-118");
    let mut bob = Lone::working();
    bob.coordinator(conflict("c"));
    bob.accepted(commit("o1", Some("i"), "a", "1", "2"));
    let undo = |news: Vec<News>| match news.into_iter().next() {
        Some(News::Compensate(it)) => it,
        other => panic!("{other:?}"),
    };
    // The system's: a prefix for the ids of all losers.
    let all = undo(bob.coordinator(overruling(&["o1", "theirs"], Some("compensation:r1"))).news);
    let [back] = all.reversals.as_slice() else { panic!("{all:?}") };
    assert!(back.op_id.as_str().starts_with("compensation:r1:"), "{}", back.op_id);
    let undoing = back.to_commit(&bob.who);
    assert_eq!(
        (undoing.target.as_str(), &undoing.state_ref_before, &undoing.state_ref_after),
        ("a", &StateRef::of("2"), &StateRef::of("1"))
    );
    bob.accepted(undoing);
    // A person's: the very id of the compensating operation.
    bob.accepted(commit("o2", Some("i"), "b", "1", "2"));
    let named = undo(bob.coordinator(overruling(&["o2"], Some("undo-o2"))).news);
    assert_eq!(named.reversals[0].op_id.as_str(), "undo-o2");
    // Nothing to undo: nothing of ours, nothing committed, or it is said so.
    bob.say(commit("o3", Some("i"), "d", "1", "2")).unwrap();
    bob.accepted(commit("o4", Some("i"), "e", "1", "2"));
    for (rejected, rollback) in [("theirs", Some("x")), ("o3", Some("x")), ("o4", Some("not_required"))] {
        assert_eq!(bob.coordinator(overruling(&[rejected], rollback)).news, []);
    }
}

#[test]
fn of_an_all_or_nothing_batch_every_entry_is_undone_in_reverse() {
    covers!("BAT-12");
    let entry = |id: &str, target: &str, refs: (&str, &str)| {
        let refs = (StateRef::of(refs.0), StateRef::of(refs.1));
        BatchEntry::new(op(id), target.into(), "replace".into(), refs.0, refs.1)
    };
    let entries =
        || vec![entry("z", "a", ("1", "2")), entry("y", "a", ("2", "3")), entry("x", "b", ("1", "2"))];
    for (atomicity, undone) in [("all_or_nothing", vec!["x", "y", "z"]), ("best_effort", vec!["y"])] {
        let mut bob = Lone::working();
        bob.coordinator(conflict("c"));
        bob.accepted(OpBatchCommit::new("n".parse().unwrap(), atomicity.into(), entries()));
        let news = bob.coordinator(overruling(&["y"], Some("compensation:r"))).news;
        let [News::Compensate(all)] = news.as_slice() else { panic!("{news:?}") };
        assert_eq!(all.reversals.iter().map(|it| it.reverses.as_str()).collect::<Vec<_>>(), undone);
        let ids: std::collections::BTreeSet<_> = all.reversals.iter().map(|it| it.op_id.clone()).collect();
        assert_eq!(ids.len(), undone.len(), "each under an id of its own");
    }
}

#[test]
fn a_loser_of_the_last_phase_undoes_its_commit_in_a_real_session() {
    covers!("FRZ-15", "GOV-21");
    let mut world = crate::freeze::dispute(crate::freeze::patient());
    let state = |world: &World, file: &str| StateRef::of(world.files.get(file).map_or("", String::as_str));
    world.say("bob", crate::world::commit_payload("o1", Some("i2"), "x", "", "bob\n"));
    world.say("alice", crate::world::commit_payload("o2", Some("i1"), "x", "bob\n", "alice\n"));
    world.wait(600.001);
    let news = world.news("alice");
    let back = news.iter().find_map(|it| match it {
        News::Compensate(it) => it.reversals.first(),
        _ => None,
    });
    let mut undoing = back.expect("alice's commit lost").to_commit(world.who("alice"));
    let before = undoing.state_ref_before.clone();
    let change = mpac_wire::payload::FileChange::new("bob\n".into(), before);
    undoing.file_changes = Some([("x", change)].into_iter().collect());
    // The conflict is settled, so nothing is frozen any more.
    world.say("alice", undoing);
    assert_eq!(state(&world, "x"), StateRef::of("bob\n"));
}

#[test]
fn a_conflict_handed_to_us_is_ours_to_decide() {
    covers!("CON-08");
    let mut bob = Lone::working();
    let to = |who: &str| ConflictEscalate::new("c".parse().unwrap(), who.parse().unwrap(), "r".into());
    bob.coordinator(conflict("c"));
    assert_eq!(bob.coordinator(to("amy")).news, []);
    assert_eq!(bob.coordinator(to("bob")).news, [News::Escalated("c".parse().unwrap())]);
    assert!(bob.say(Resolution::new("c".parse().unwrap(), Decision::Approved)).is_ok());
}

#[test]
fn what_cannot_be_settled_here_is_handed_to_an_owner() {
    covers!("PAR-25", "CON-08", "CON-20", "PAR-19");
    let mut world = World::of(&["alice", "bob"]);
    world.join("olga", &[Role::Owner]);
    world.announce("alice", "i1", &["x"]);
    world.announce("bob", "i2", &["x"]);
    let open: Vec<_> = world.who("bob").unacknowledged().cloned().collect();
    assert_eq!(open, [world.conflict()]);
    let ack = mpac_wire::payload::ConflictAck::new(world.conflict(), "seen".into());
    world.try_say("bob", ack).unwrap();
    assert_eq!(world.who("bob").unacknowledged().count(), 0);
    world.news("olga");
    let escalate = ConflictEscalate::new(world.conflict(), "olga".parse().unwrap(), "we disagree".into());
    world.try_say("bob", escalate).unwrap();
    assert_eq!(world.news("olga"), [News::Escalated(world.conflict())]);
    world.try_say("olga", Resolution::new(world.conflict(), Decision::Approved)).unwrap();
    assert_eq!(world.who("alice").conflicts().count(), 0);
}

#[test]
fn nothing_is_relied_on_that_the_session_does_not_make_mandatory() {
    covers!("CAP-02");
    let bob = Lone::joined();
    assert!(bob.who.may_rely_on("op.commit"));
    assert!(!bob.who.may_rely_on("op.propose") && !bob.who.may_rely_on("intent.claim"));
    assert!(!bob.who.may_rely_on("semantic.analysis"));
    let amy = Lone::joined_to(pre_commit());
    assert!(amy.who.may_rely_on("op.propose") && amy.who.may_rely_on("intent.claim"));
    assert!(!Lone::new().who.may_rely_on("op.commit"), "nobody has said which session it is");
}

/// A session that wants to know about models, and Bob with one.
fn with_backend(auto_switch: &str) -> Lone {
    let mut info: SessionInfo = session_info();
    let mut policy = mpac_wire::policy::BackendHealthPolicy::new();
    policy.enabled = Some(true);
    policy.check_source = Some("https://status.example".into());
    policy.check_interval_sec = Some(Seconds::whole(20));
    policy.auto_switch = Some(auto_switch.into());
    policy.allowed_providers = Some(vec!["acme".into()]);
    let mut liveness = mpac_wire::policy::LivenessPolicy::new();
    liveness.backend_health_policy = Some(policy);
    info.liveness_policy = Some(liveness);
    let mut bob = Lone::new();
    let stamp = bob.stamp();
    bob.who.hello(stamp, Some(Backend::new("acme/one".into(), "acme".into())));
    bob.coordinator(info);
    bob.accepted(announce("i", &["a"]));
    bob
}

fn health(model: &str, now: mpac_wire::Timestamp) -> BackendHealth {
    BackendHealth::new(model.into(), "operational".into(), now.into())
}

#[test]
fn heartbeats_say_how_the_model_is_where_the_session_wants_to_know() {
    covers!("BHM-01");
    let mut bob = with_backend("allowed");
    let due = News::BackendCheckDue { source: "https://status.example".into() };
    assert_eq!(bob.pass(0.0), std::slice::from_ref(&due));
    assert_eq!(bob.pass(1.0), [], "told once");
    bob.who.backend_checked(bob.now, health("acme/one", bob.now));
    let stamp = bob.stamp();
    let beat = bob.who.beat(stamp);
    assert!(
        beat.payload.get().contains(r#""backend_health":{"model_id":"acme/one""#),
        "{}",
        beat.payload.get()
    );
    assert_eq!(bob.pass(19.9), []);
    assert_eq!(bob.pass(0.1), [due], "twenty seconds after the last check");
    // Without a policy nobody is told.
    let mut bob = Lone::working();
    bob.who.backend_checked(bob.now, health("acme/one", bob.now));
    let stamp = bob.stamp();
    assert_eq!(bob.who.beat(stamp).payload.get(), r#"{"status":"idle"}"#);
}

#[test]
fn a_model_is_changed_after_the_plan_was_confirmed() {
    covers!("BHM-11", "D-060");
    let mut bob = with_backend("notify_first");
    let two = Backend::new("acme/two".into(), "acme".into());
    assert_eq!(bob.who.may_switch("acme/two"), Err(Withheld::SwitchNotConfirmed("acme/two".into())));
    let mut switch = Heartbeat::new("working".into());
    let mut report = health("acme/two", bob.now);
    report.switched_from = Some("acme/one".into());
    switch.backend_health = Some(report);
    assert!(matches!(bob.withheld(switch.clone()), Withheld::SwitchNotConfirmed(_)));
    let stamp = bob.stamp();
    let plan = bob.who.plan_switch(stamp, intent("i"), &two).unwrap();
    assert!(plan.payload.get().contains(r#""planned_backend":{"model_id":"acme/two","provider":"acme"}"#));
    let confirm = |model: &str, whom: &str, approved: Option<bool>| {
        let mut alert = status(CoordinatorEvent::BackendAlert, COORDINATOR);
        alert.affected_principal = Some(whom.parse().unwrap());
        let mut detail = BackendDetail::new(model.into(), "operational".into());
        detail.switch_approved = approved;
        alert.backend_detail = Some(detail);
        alert
    };
    for (model, whom, approved) in
        [("acme/three", "bob", Some(true)), ("acme/two", "amy", Some(true)), ("acme/two", "bob", None)]
    {
        assert_eq!(bob.coordinator(confirm(model, whom, approved)).news, []);
    }
    let news = bob.coordinator(confirm("acme/two", "bob", Some(true))).news;
    assert_eq!(news, [News::SwitchApproved("acme/two".into())]);
    assert_eq!(bob.who.may_switch("acme/two"), Ok(()));
    assert!(bob.say(switch.clone()).is_ok());
    assert!(matches!(bob.withheld(switch), Withheld::SwitchNotConfirmed(_)), "good for one switch");
}

#[test]
fn a_switch_that_the_session_forbids_is_not_made() {
    covers!("BHM-11");
    assert!(matches!(with_backend("forbidden").who.may_switch("acme/two"), Err(Withheld::SwitchDenied(_))));
    let bob = with_backend("allowed");
    assert_eq!(bob.who.may_switch("acme/two"), Ok(()));
    for model in ["other/two", "two", "/two"] {
        assert_eq!(bob.who.may_switch(model), Err(Withheld::SwitchDenied(model.into())));
    }
}

#[test]
fn the_software_is_named_where_the_host_wants_it() {
    covers!("HEL-20", "HEL-12");
    let mut introduction = mpac_core::participant::Introduction::new("Bob");
    let software = mpac_wire::payload::session::Implementation::new("mpac-rs".into(), "0.1.0".into());
    introduction.implementation = Some(software);
    let sender = crate::lone::sender("bob", "bob:1");
    let mut bob = mpac_core::Participant::new("s".parse().unwrap(), sender, introduction);
    let stamp = Lone::new().stamp();
    let hello = bob.hello(stamp, Some(Backend::new("acme/one".into(), "acme".into())));
    let tail = r#""backend":{"model_id":"acme/one","provider":"acme"},"implementation":{"name":"mpac-rs","version":"0.1.0"}}"#;
    assert!(hello.payload.get().ends_with(tail), "{}", hello.payload.get());
}

#[test]
fn what_goes_out_is_what_a_python_server_takes() {
    covers!("ENV-09", "PAR-13", "EXT-07");
    let mut bob = with_backend("notify_first");
    let stamp = bob.stamp();
    let plan =
        bob.who.plan_switch(stamp, intent("i"), &Backend::new("acme/two".into(), "acme".into())).unwrap();
    let commit = bob.say(commit("o", Some("i"), "a", "1", "2")).unwrap();
    let stamp = bob.stamp();
    for envelope in [plan, commit, bob.who.beat(stamp)] {
        let json: serde_json::Value = serde_json::from_str(&envelope.to_json()).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.len(), 9, "the base fields without an epoch: {keys:?}");
        assert_eq!(json["sender"].as_object().unwrap().len(), 3);
        assert_eq!(json["watermark"].as_object().unwrap().len(), 2);
        for extra in ["in_reply_to", "trace_id", "policy_ref", "signature", "extensions", "coordinator_epoch"]
        {
            assert!(!keys.contains(&extra));
        }
    }
}
