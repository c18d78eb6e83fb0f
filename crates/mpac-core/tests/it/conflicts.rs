//! Conflicts: acknowledged, escalated, resolved, dismissed.

use mpac_wire::names::{AckType, Decision, ErrorCode, Role};
use mpac_wire::payload::{ConflictAck, ConflictEscalate, Outcome, Resolution};
use mpac_wire::{ConflictId, Message};

use crate::covers;
use crate::world::{World, commit_payload, error, heard, intent};

/// Alice and Bob in each other's way, Olga an owner, Ada an arbiter.
fn dispute() -> (World, ConflictId) {
    let mut world = World::of(&["alice", "bob"]);
    world.join("olga", &[Role::Owner]);
    world.join("ada", &[Role::Arbiter]);
    world.announce("alice", "i1", &["x"]);
    world.announce("bob", "i2", &["x"]);
    let conflict = world.conflict();
    (world, conflict)
}

fn state(world: &World, conflict: &ConflictId) -> String {
    format!("{:?}", world.coordinator.view().conflict(conflict).unwrap())
}

#[test]
fn those_in_it_acknowledge_and_disputing_changes_nothing() {
    covers!("CON-06", "D-109", "CON-18");
    let (mut world, conflict) = dispute();
    let ack = |kind| ConflictAck::new(conflict.clone(), kind);
    assert_eq!(heard(&world.say("bob", ack(AckType::Disputed)), "alice"), ["CONFLICT_ACK"]);
    assert_eq!(state(&world, &conflict), "Open");
    assert_eq!(
        error(&world.say("olga", ack(AckType::Seen)), "olga").error_code,
        ErrorCode::AuthorizationFailed
    );
    world.say("alice", ack(AckType::Seen));
    world.say("bob", ack(AckType::Accepted));
    assert_eq!(state(&world, &conflict), "Acked");
    let record = world.coordinator.snapshot().conflicts.unwrap().remove(0);
    assert_eq!(record.acks.unwrap().len(), 3);
    let unknown = ConflictAck::new(ConflictId::new("?").unwrap(), AckType::Seen);
    assert_eq!(error(&world.say("bob", unknown), "bob").error_code, ErrorCode::InvalidReference);
}

#[test]
fn an_owner_resolves_and_the_outcome_is_applied() {
    covers!(
        "GOV-01", "GOV-04", "GOV-06", "GOV-07", "GOV-09", "GOV-10", "INT-19", "D-082", "D-113", "D-114",
        "CON-19"
    );
    let (mut world, conflict) = dispute();
    let mut resolution = Resolution::new(conflict.clone(), Decision::Approved);
    let mut outcome = Outcome::new();
    outcome.accepted = Some(vec!["i1".to_owned()]);
    outcome.rejected = Some(vec!["i2".to_owned()]);
    resolution.outcome = Some(outcome);
    assert_eq!(
        error(&world.say("bob", resolution.clone()), "bob").error_code,
        ErrorCode::AuthorizationFailed
    );
    let deliveries = world.say("olga", resolution.clone());
    assert_eq!(heard(&deliveries, "bob"), ["RESOLUTION approved", "INTENT_WITHDRAW i2"]);
    let Message::Resolution(relayed) = &deliveries[0].message else { panic!() };
    assert!(relayed.resolution_id.is_some());
    assert_eq!(relayed.rationale.as_deref(), Some(""));
    assert_eq!(state(&world, &conflict), "Closed");
    let record = world.coordinator.snapshot().conflicts.unwrap().remove(0);
    assert_eq!(record.resolved_by.unwrap().as_str(), "olga");
    // Later ones: the authorised learn that it is resolved, the others that they may not.
    assert_eq!(error(&world.say("ada", resolution.clone()), "ada").error_code, ErrorCode::ResolutionConflict);
    assert_eq!(error(&world.say("bob", resolution), "bob").error_code, ErrorCode::AuthorizationFailed);
    // The withdrawn intent is in nobody's way any more.
    world.withdraw("alice", "i1");
    assert_eq!(heard(&world.announce("alice", "i3", &["x"]), "bob"), ["INTENT_ANNOUNCE"]);
}

#[test]
fn a_bad_outcome_leaves_the_conflict_open() {
    covers!("GOV-05", "D-113", "CON-09", "ENV-14");
    let (mut world, conflict) = dispute();
    world.say("bob", commit_payload("o", Some("i2"), "x", "", "new\n"));
    let resolve = |accepted: &[&str], rejected: &[&str]| {
        let list = |ids: &[&str]| (!ids.is_empty()).then(|| ids.iter().map(|id| (*id).to_owned()).collect());
        let mut outcome = Outcome::new();
        (outcome.accepted, outcome.rejected) = (list(accepted), list(rejected));
        let mut resolution = Resolution::new(conflict.clone(), Decision::Rejected);
        resolution.outcome = Some(outcome);
        resolution
    };
    for (resolution, code) in [
        (resolve(&["i9"], &[]), ErrorCode::InvalidReference),
        (resolve(&["i1"], &["i1"]), ErrorCode::MalformedMessage),
        (resolve(&[], &["o"]), ErrorCode::MalformedMessage),
        (Resolution::new(ConflictId::new("?").unwrap(), Decision::Rejected), ErrorCode::InvalidReference),
    ] {
        assert_eq!(error(&world.say("olga", resolution), "olga").error_code, code);
        assert_eq!(state(&world, &conflict), "Open");
    }
    let mut resolution = resolve(&[], &["o"]);
    resolution.outcome.as_mut().unwrap().rollback = Some("not_required".to_owned());
    assert_eq!(heard(&world.say("olga", resolution), "bob"), ["RESOLUTION rejected"]);
}

#[test]
fn after_escalation_its_target_decides() {
    covers!("CON-07", "D-110", "GOV-02", "GOV-03", "D-111", "GOV-19");
    let (mut world, conflict) = dispute();
    let escalate =
        |to: &str| ConflictEscalate::new(conflict.clone(), to.parse().unwrap(), "stuck".to_owned());
    assert_eq!(error(&world.say("bob", escalate("alice")), "bob").error_code, ErrorCode::AuthorizationFailed);
    assert_eq!(error(&world.say("bob", escalate("nobody")), "bob").error_code, ErrorCode::InvalidReference);
    assert_eq!(heard(&world.say("bob", escalate("ada")), "alice"), ["CONFLICT_ESCALATE"]);
    assert_eq!(error(&world.say("bob", escalate("olga")), "bob").error_code, ErrorCode::InvalidReference);
    let resolution = Resolution::new(conflict.clone(), Decision::Dismissed);
    assert_eq!(
        error(&world.say("olga", resolution.clone()), "olga").error_code,
        ErrorCode::AuthorizationFailed
    );
    assert_eq!(heard(&world.say("ada", resolution.clone()), "bob"), ["RESOLUTION dismissed"]);
    assert_eq!(state(&world, &conflict), "Dismissed");
    assert_eq!(error(&world.say("olga", resolution), "olga").error_code, ErrorCode::AuthorizationFailed);
}

#[test]
fn a_resolution_id_is_used_once() {
    covers!("D-022", "D-114");
    let (mut world, conflict) = dispute();
    let resolve = |conflict: ConflictId| {
        let mut resolution = Resolution::new(conflict, Decision::Merged);
        resolution.resolution_id = Some("r".parse().unwrap());
        resolution
    };
    world.say("olga", resolve(conflict));
    world.announce("alice", "i3", &["x"]);
    let second = world.conflict();
    let refused = error(&world.say("olga", resolve(second)), "olga");
    assert!(refused.description.starts_with("duplicate resolution_id"), "{}", refused.description);
}

#[test]
fn a_conflict_ends_when_everything_in_it_has() {
    covers!("CON-10", "CON-13", "CAS-08", "GOV-17");
    let (mut world, conflict) = dispute();
    assert_eq!(heard(&world.withdraw("alice", "i1"), "bob"), ["INTENT_WITHDRAW i1"]);
    let deliveries = world.withdraw("bob", "i2");
    assert_eq!(heard(&deliveries, "alice"), ["INTENT_WITHDRAW i2", "RESOLUTION dismissed"]);
    let Message::Resolution(resolution) = &deliveries.last().unwrap().message else { panic!() };
    assert_eq!(resolution.rationale.as_deref(), Some("all_related_entities_terminated"));
    assert_eq!(deliveries.last().unwrap().from, "service:coordinator-s");
    assert_eq!(state(&world, &conflict), "Dismissed");
}

#[test]
fn a_committed_operation_keeps_its_conflict_open() {
    covers!("CON-11", "CON-21", "OPS-29");
    let (mut world, conflict) = dispute();
    world.say("bob", commit_payload("o", Some("i2"), "x", "", "new\n"));
    world.withdraw("alice", "i1");
    assert_eq!(heard(&world.withdraw("bob", "i2"), "alice"), ["INTENT_WITHDRAW i2"]);
    assert_eq!(state(&world, &conflict), "Open");
    let record = world.coordinator.snapshot().conflicts.unwrap().remove(0);
    assert_eq!(record.related_ops.unwrap().len(), 1);
}

#[test]
fn a_participant_s_report_is_taken_in_every_form_and_relayed_complete() {
    covers!("CON-02", "CON-03", "CON-04", "D-107", "ENV-16", "CON-14", "CON-17", "GOV-14");
    let python = r#"{"conflict_id":"c1","category":"x.y","severity":"high","principal_a":"alice","principal_b":"bob","intent_a":"i1","intent_b":"i2"}"#;
    let typescript = r#"{"conflict_id":"c2","category":"scope_overlap","severity":"low","basis":{},"involved_principals":["alice","bob"],"scope_a":{"kind":"file_set","resources":["x"]},"scope_b":{"kind":"file_set","resources":["z"]},"details":"both touch x","later":1.0}"#;
    let specified = r#"{"conflict_id":"c3","related_intents":["i2"],"related_ops":[],"category":"policy_violation","severity":"info","basis":{"kind":"human_report"},"based_on_watermark":{"kind":"lamport_clock","value":1},"description":"d"}"#;
    let (mut world, _) = dispute();
    world.join("eve", &[Role::Observer]);
    let say = |world: &mut World, payload: &str| {
        let report: mpac_wire::payload::ConflictReport = serde_json::from_str(payload).unwrap();
        world.say("eve", report)
    };
    for (payload, intents) in [(python, "i1 i2"), (typescript, "i1 i2"), (specified, "i2")] {
        let deliveries = say(&mut world, payload);
        for name in ["bob", "olga", "ada", "eve"] {
            assert_eq!(heard(&deliveries, name), ["CONFLICT_REPORT"], "{name}");
        }
        let Message::ConflictReport(relayed) = &deliveries[0].message else { panic!() };
        let related: Vec<&str> =
            relayed.related_intents.as_ref().unwrap().iter().map(|id| id.as_str()).collect();
        assert_eq!(related.join(" "), intents);
        assert!(relayed.basis.as_ref().unwrap().kind.is_some());
        assert!(relayed.based_on_watermark.is_some() && relayed.description.is_some());
        assert_eq!(state(&world, &relayed.conflict_id), "Open");
    }
    for (payload, code) in [
        (python.replace("c1", "c3"), ErrorCode::MalformedMessage),
        (python.replace("c1", "c4").replace("i1", "i9"), ErrorCode::InvalidReference),
        (typescript.replace("c2", "c5").replace("[\"x\"]", "[\"q\"]"), ErrorCode::MalformedMessage),
    ] {
        assert_eq!(error(&say(&mut world, &payload), "eve").error_code, code, "{payload}");
    }
}

#[test]
fn what_is_named_twice_in_a_report_is_one_thing() {
    covers!("CON-02", "D-107");
    let (mut world, _) = dispute();
    world.say("bob", commit_payload("o", Some("i2"), "x", "", "new\n"));
    world.join("eve", &[Role::Observer]);
    let twice = r#"{"conflict_id":"c","category":"x.y","severity":"high","related_intents":["i2","i1","i2","i1"],"related_ops":["o","o"],"intent_a":"i1","description":"d"}"#;
    let report: mpac_wire::payload::ConflictReport = serde_json::from_str(twice).unwrap();
    let deliveries = world.say("eve", report);
    let Message::ConflictReport(relayed) = &deliveries[0].message else { panic!() };
    assert_eq!(relayed.related_intents, Some(vec![intent("i2"), intent("i1")]));
    let stored = world.coordinator.snapshot().conflicts.unwrap();
    let stored = stored.iter().find(|it| it.conflict_id.as_str() == "c").unwrap();
    assert_eq!(stored.related_intents, Some(vec![intent("i2"), intent("i1")]));
    assert_eq!(stored.related_ops.as_ref().unwrap().len(), 1);
}

#[test]
fn a_report_that_nobody_could_be_sent_is_refused() {
    covers!("SRV-18");
    let mut config = crate::world::config();
    config.limits.max_bytes = 4000;
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    world.announce("alice", "i1", &["x"]);
    let report = |bytes: usize| {
        let details = "d".repeat(bytes);
        let text = format!(
            r#"{{"conflict_id":"c{bytes}","category":"x.y","severity":"low","intent_a":"i1","details":"{details}"}}"#
        );
        serde_json::from_str::<mpac_wire::payload::ConflictReport>(&text).unwrap()
    };
    let refused = world.say("alice", report(2500));
    assert_eq!(error(&refused, "alice").error_code, ErrorCode::MalformedMessage, "it would be told twice");
    assert_eq!(world.coordinator.view().conflicts().len(), 0);
    assert_eq!(heard(&world.say("alice", report(1000)), "alice"), ["CONFLICT_REPORT"]);
}

#[test]
fn a_resolution_that_grows_too_large_uses_no_id() {
    covers!("ENV-16", "D-114");
    let mut config = crate::world::config();
    config.limits.max_bytes = 4000;
    let mut world = World::with(config);
    ["alice", "olga"].iter().for_each(|name| drop(world.join(name, &[Role::Contributor, Role::Owner])));
    world.announce("alice", "i1", &["x"]);
    world.announce("olga", "i2", &["x"]);
    let conflict = world.conflict();
    // Smaller each time: some are too large only with the id that is filled in.
    let tries = (0..4000).rev().step_by(20).take_while(|bytes| {
        let mut resolution = Resolution::new(conflict.clone(), Decision::Approved);
        resolution.rationale = Some("r".repeat(*bytes));
        heard(&world.say("olga", resolution), "alice").is_empty()
    });
    assert!(tries.count() > 1);
    let used = world.coordinator.snapshot().coordinator_state.unwrap().resolution_ids.unwrap();
    assert_eq!(used.len(), 1, "that of the one that was relayed");
}

#[test]
fn a_wait_for_one_scope_does_not_end_when_a_part_of_it_is_rejected_again() {
    covers!("BKO-01", "D-083");
    let mut config = crate::world::config();
    config.enforce_intent_backoff = true;
    config.liveness.unavailability_timeout_sec = Some(mpac_wire::Seconds::whole(100_000));
    let mut world = World::with(config);
    for (name, role) in [("alice", Role::Contributor), ("bob", Role::Contributor), ("olga", Role::Owner)] {
        world.join(name, &[role]);
    }
    world.announce("alice", "i", &["a"]);
    let mut rejected = Vec::new();
    for (id, files) in [("part", &["a"][..]), ("whole", &["a", "b"][..])] {
        world.announce("bob", id, files);
        let listed = |it: &mpac_wire::snapshot::ConflictRecord| {
            let related = it.related_intents.as_ref().unwrap();
            related.contains(&intent("i")) && related.contains(&intent(id))
        };
        let stored = world.coordinator.snapshot().conflicts.unwrap();
        rejected.push((id, stored.iter().find(|it| listed(it)).unwrap().conflict_id.clone()));
    }
    for (id, conflict) in rejected.into_iter().rev() {
        let mut resolution = Resolution::new(conflict, Decision::Approved);
        let mut outcome = Outcome::new();
        outcome.rejected = Some(vec![id.to_owned()]);
        resolution.outcome = Some(outcome);
        world.say("olga", resolution);
        world.wait(5.0);
    }
    let refused = error(&world.announce("bob", "early", &["b"]), "bob");
    assert_eq!(refused.error_code, ErrorCode::IntentBackoff);
    assert_eq!(refused.extensions.unwrap().get(), r#"{"retry_after_sec":20}"#);
}

#[test]
fn who_was_rejected_waits_longer_each_time_before_the_same_again() {
    covers!("BKO-02", "BKO-03", "BKO-04", "BKO-05", "BKO-06", "BKO-07", "D-082", "D-083");
    let mut config = crate::world::config();
    config.enforce_intent_backoff = true;
    config.liveness.unavailability_timeout_sec = Some(mpac_wire::Seconds::whole(100_000));
    config.default_intent_ttl_sec = mpac_wire::Seconds::whole(100_000);
    let mut world = World::with(config);
    for (name, role) in [("alice", Role::Contributor), ("bob", Role::Contributor), ("olga", Role::Owner)] {
        world.join(name, &[role]);
    }
    world.announce("alice", "a", &["x"]);
    for (round, delay) in [30_u32, 60, 120, 240, 300, 300].into_iter().enumerate() {
        let id = format!("b{round}");
        world.announce("bob", &id, &["x", &format!("y{round}")]);
        let mut resolution = Resolution::new(world.conflict(), Decision::Approved);
        let mut outcome = Outcome::new();
        outcome.rejected = Some(vec![id]);
        resolution.outcome = Some(outcome);
        world.say("olga", resolution);
        world.wait(1.0);
        let refused = error(&world.announce("bob", "early", &["./x"]), "bob");
        assert_eq!(refused.error_code, ErrorCode::IntentBackoff);
        assert_eq!(refused.extensions.unwrap().get(), format!(r#"{{"retry_after_sec":{}}}"#, delay - 1));
        assert_eq!(
            heard(&world.announce("bob", &format!("z{round}"), &["z"]), "bob"),
            ["INTENT_ANNOUNCE"],
            "elsewhere"
        );
        world.withdraw("bob", &format!("z{round}"));
        world.wait(f64::from(delay - 1));
    }
    // An intent on that scope that ends otherwise: forgotten.
    world.announce("bob", "c", &["x"]);
    world.withdraw("bob", "c");
    assert_eq!(heard(&world.announce("bob", "d", &["x"]), "bob"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
}

#[test]
fn edits_that_reach_somebody_s_files_are_reported() {
    covers!("SCO-18", "SCO-19", "SCO-20", "D-070", "LCK-04");
    let scope = |file: &str, extensions: &str| -> mpac_wire::Scope {
        let text = format!(r#"{{"kind":"file_set","resources":["{file}"],"extensions":{extensions}}}"#);
        serde_json::from_str(&text).unwrap()
    };
    let mut world = World::of(&["alice", "bob"]);
    let announce =
        |id: &str, scope| mpac_wire::payload::IntentAnnounce::new(id.parse().unwrap(), "o".to_owned(), scope);
    world.say("alice", announce("i", scope("uses.py", "{}")));
    let lib = r#"{"impact":["./uses.py"],"affects_symbols":["lib.f"],"impact_symbols":{"uses.py":["lib.f","lib.g"]}}"#;
    let deliveries = world.say("bob", announce("j", scope("lib.py", lib)));
    assert_eq!(heard(&deliveries, "alice"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
    let text = &deliveries.last().unwrap().text;
    assert!(text.contains(r#""category":"dependency_breakage","severity":"medium""#), "{text}");
    assert!(
        text.contains(r#""dependency_detail":{"ab":[{"file":"uses.py","symbols":["lib.f"]}]}"#),
        "{text}"
    );
    // The other way round, whoever comes second.
    world.withdraw("alice", "i");
    let deliveries = world.say("alice", announce("k", scope("uses.py", "{}")));
    assert!(deliveries.last().unwrap().text.contains(r#""dependency_detail":{"ba":["#));
    // Oneself is in nobody's way.
    assert_eq!(heard(&world.say("bob", announce("l", scope("uses2.py", "{}"))), "bob"), ["INTENT_ANNOUNCE"]);
}

#[test]
fn what_overlaps_directly_is_no_dependency_however_it_grows() {
    covers!("SCO-18", "INT-13");
    let scope = |files: &[&str], extensions: &str| -> mpac_wire::Scope {
        let files = serde_json::to_string(files).unwrap();
        let text = format!(r#"{{"kind":"file_set","resources":{files},"extensions":{extensions}}}"#);
        serde_json::from_str(&text).unwrap()
    };
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["both.py", "uses.py"]);
    world.announce("bob", "j", &["both.py"]);
    let mut update = mpac_wire::payload::IntentUpdate::new(intent("j"));
    update.scope = Some(scope(&["both.py", "lib.py"], r#"{"impact":["uses.py"]}"#));
    assert_eq!(heard(&world.say("bob", update.clone()), "alice").len(), 1, "the update alone");
    // Without the file they share it is one.
    update.scope = Some(scope(&["lib.py"], "{}"));
    world.say("bob", update.clone());
    update.scope = Some(scope(&["lib.py", "more.py"], r#"{"impact":["uses.py"]}"#));
    assert_eq!(heard(&world.say("bob", update), "alice").len(), 2);
}

#[test]
fn a_dependency_shows_when_the_overlap_that_hid_it_ends() {
    covers!("SCO-18", "CON-22");
    let mut world = World::of(&["alice", "bob", "carol"]);
    world.announce("alice", "i", &["both.py", "uses.py"]);
    world.announce("carol", "k", &["far.py"]);
    world.announce("bob", "j", &["both.py", "lib.py", "more.py"]);
    let mut shrink = |files: &[&str], extensions: &str| {
        let files = serde_json::to_string(files).unwrap();
        let text = format!(r#"{{"kind":"file_set","resources":{files},"extensions":{extensions}}}"#);
        let mut update = mpac_wire::payload::IntentUpdate::new(intent("j"));
        update.scope = Some(serde_json::from_str(&text).unwrap());
        heard(&world.say("bob", update), "alice").into_iter().skip(1).collect::<Vec<_>>()
    };
    let reaches = r#"{"impact":["uses.py"]}"#;
    assert!(shrink(&["both.py", "lib.py", "more.py"], reaches).is_empty(), "they overlap directly");
    assert!(shrink(&["both.py", "lib.py"], reaches).is_empty(), "they still do");
    assert_eq!(shrink(&["lib.py"], reaches), ["CONFLICT_REPORT"]);
    assert!(shrink(&["lib.py"], reaches).is_empty(), "nothing has changed");
}

#[test]
fn a_dependency_that_was_hidden_is_told_whole() {
    covers!("SCO-18", "CON-22");
    let mut world = World::of(&["alice", "bob"]);
    let scope = |files: &str, extensions: &str| -> mpac_wire::Scope {
        let text = format!(r#"{{"kind":"file_set","resources":{files},"extensions":{extensions}}}"#);
        serde_json::from_str(&text).unwrap()
    };
    let theirs = scope(r#"["both.py","uses.py"]"#, r#"{"impact":["lib.py","new.py"]}"#);
    let announce = mpac_wire::payload::IntentAnnounce::new(intent("i"), "o".to_owned(), theirs);
    world.say("alice", announce);
    world.announce("bob", "j", &["both.py", "lib.py"]);
    let mut update = mpac_wire::payload::IntentUpdate::new(intent("j"));
    update.scope = Some(scope(r#"["lib.py","new.py"]"#, "{}"));
    let deliveries = world.say("bob", update);
    assert_eq!(heard(&deliveries, "alice").len(), 2, "the update and one report");
    let text = &deliveries.last().unwrap().text;
    assert!(text.contains(r#"{"file":"lib.py""#) && text.contains(r#"{"file":"new.py""#), "{text}");
}

#[test]
fn what_an_update_declares_of_the_same_files_is_compared() {
    covers!("SCO-18", "D-070", "CON-22");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["uses.py"]);
    world.announce("bob", "j", &["lib.py", "b.py"]);
    let mut declare = |files: &[&str], extensions: &str| {
        let files = serde_json::to_string(files).unwrap();
        let text = format!(r#"{{"kind":"file_set","resources":{files},"extensions":{extensions}}}"#);
        let mut update = mpac_wire::payload::IntentUpdate::new(intent("j"));
        update.scope = Some(serde_json::from_str(&text).unwrap());
        heard(&world.say("bob", update), "alice").len() - 1
    };
    let apart =
        r#"{"impact":["uses.py"],"affects_symbols":["lib.g"],"impact_symbols":{"uses.py":["lib.f"]}}"#;
    assert_eq!(declare(&["lib.py"], "{}"), 0);
    assert_eq!(declare(&["lib.py"], apart), 0);
    assert_eq!(declare(&["lib.py"], &apart.replace("lib.g", "lib.f")), 1);
    assert_eq!(declare(&["lib.py"], r#"{"impact":["uses.py"]}"#), 0, "the first conflict is still open");
}

#[test]
fn a_report_about_what_is_over_is_dismissed_at_once() {
    covers!("CON-10", "CON-13");
    let (mut world, _) = dispute();
    world.withdraw("alice", "i1");
    let mut report = mpac_wire::payload::ConflictReport::new("c".parse().unwrap(), "x".into(), "low".into());
    report.related_intents = Some(vec![intent("i1")]);
    assert_eq!(heard(&world.say("bob", report), "alice"), ["CONFLICT_REPORT", "RESOLUTION dismissed"]);
}

#[test]
fn a_report_about_operations_alone_stays_open_while_one_is_committed() {
    covers!("D-115", "CON-11", "CON-02");
    let (mut world, _) = dispute();
    world.say("bob", commit_payload("o", None, "z", "", "new\n"));
    let mut report = mpac_wire::payload::ConflictReport::new("c".parse().unwrap(), "x".into(), "low".into());
    report.related_ops = Some(vec!["o".parse().unwrap()]);
    assert_eq!(heard(&world.say("alice", report), "bob"), ["CONFLICT_REPORT"]);
    world.withdraw("alice", "i1");
    world.withdraw("bob", "i2");
    assert_eq!(state(&world, &"c".parse().unwrap()), "Open");
}

#[test]
fn an_id_that_somebody_guessed_is_not_written_over() {
    covers!("D-022", "CON-01", "CON-04");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i1", &["a.py"]);
    let (conn, stamp) = (world.people["bob"].0, world.stamp());
    let scope = mpac_wire::Scope::files(["a.py"]);
    let text = world.who("bob").announce(stamp, intent("i2"), "o".to_owned(), scope, None).to_json();
    // Alice knows where the coordinator's ids come from.
    let mut foreseen = world.coordinator.clone();
    let _ = foreseen.handle_frame(world.now, conn, &text);
    let [id] = foreseen.view().conflicts().try_into().unwrap();
    let mut report = mpac_wire::payload::ConflictReport::new(id, "x".into(), "low".into());
    report.related_intents = Some(vec![intent("i1")]);
    assert_eq!(heard(&world.say("alice", report), "alice"), ["CONFLICT_REPORT"]);
    world.frame(conn, &text);
    assert_eq!(world.coordinator.view().conflicts().len(), 2);
}
