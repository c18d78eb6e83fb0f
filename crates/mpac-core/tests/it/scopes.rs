//! When two intents are in each other's way, by what their scopes say.

use mpac_core::SessionConfig;
use mpac_wire::names::{ErrorCode, Role};
use mpac_wire::payload::{ConflictReport, Goodbye, IntentAnnounce, IntentClaim, IntentUpdate};
use mpac_wire::{Message, Scope, Seconds};

use crate::covers;
use crate::world::{Delivery, World, commit_payload, error, heard, intent};

fn scope(json: &str) -> Scope {
    serde_json::from_str(json).unwrap()
}

fn files(list: &str) -> String {
    format!(r#"{{"kind":"file_set","resources":[{list}]}}"#)
}

fn pattern(pattern: &str) -> String {
    format!(r#"{{"kind":"resource_path","pattern":"{pattern}"}}"#)
}

/// The scope, known by these URIs.
fn known(scope: &str, uris: &str) -> String {
    format!(r#"{},"canonical_uris":[{uris}]}}"#, scope.strip_suffix('}').unwrap())
}

fn two(config: SessionConfig) -> World {
    let mut world = World::with(config);
    for name in ["alice", "bob"] {
        world.join(name, &[Role::Contributor]);
    }
    world
}

fn announce(world: &mut World, name: &str, id: &str, json: &str) -> Vec<Delivery> {
    world.say(name, IntentAnnounce::new(intent(id), "o".to_owned(), scope(json)))
}

/// How the second of two announces is found to be in the way of the first: the basis of the report.
fn found(config: &SessionConfig, a: &str, b: &str) -> Option<&'static str> {
    let mut world = two(config.clone());
    announce(&mut world, "alice", "i", a);
    let deliveries = announce(&mut world, "bob", "j", b);
    let reports: Vec<_> = deliveries
        .iter()
        .filter(|it| it.to == "alice")
        .filter_map(|it| match &it.message {
            Message::ConflictReport(report) => report.basis.as_ref()?.rule_id.clone(),
            _ => None,
        })
        .collect();
    assert!(reports.len() < 2, "{reports:?}");
    match reports.first().map(String::as_str) {
        Some("scope.overlap.v1") => Some("known"),
        Some("scope.cross_kind.conservative.v1") => Some("assumed"),
        Some(other) => panic!("{other}"),
        None => None,
    }
}

/// Both ways round.
fn assert_found(config: &SessionConfig, a: &str, b: &str, expected: Option<&str>) {
    assert_eq!(found(config, a, b), expected, "{a} then {b}");
    assert_eq!(found(config, b, a), expected, "{b} then {a}");
}

#[test]
fn sets_of_one_kind_overlap_in_what_they_both_name() {
    covers!("SCO-02", "SCO-03", "SCO-04", "SCO-05", "SCO-06", "D-063", "D-064", "D-067", "SCO-12");
    let config = crate::world::config();
    let (entities, tasks) = (
        |list: &str| format!(r#"{{"kind":"entity_set","entities":[{list}]}}"#),
        |list: &str| format!(r#"{{"kind":"task_set","task_ids":[{list}]}}"#),
    );
    for (a, b, expected) in [
        (files(r#""a","b""#), files(r#""b","c""#), Some("known")),
        (files(r#""a""#), files(r#""b""#), None),
        (files(r#"".//a/""#), files(r#""././a""#), Some("known")),
        (files(r#""a""#), files(r#""A""#), None),
        (files(r#""a""#), files(r#""/a""#), None),
        (files(r#""a/./b""#), files(r#""a/b""#), None),
        (files(""), files(""), None),
        (files(""), files(r#""a""#), None),
        (entities(r#""User""#), entities(r#""User""#), Some("known")),
        (entities(r#""User""#), entities(r#""user""#), None),
        (entities(r#""./a""#), entities(r#""a""#), None),
        (tasks(r#""T-1""#), tasks(r#""T-1","T-2""#), Some("known")),
        (tasks(r#""T-1""#), tasks(r#""T-10""#), None),
        // Different files under one URI, and one file under different ones: the files decide.
        (known(&files(r#""a""#), r#""u""#), known(&files(r#""b""#), r#""u""#), None),
        (known(&files(r#""a""#), r#""u""#), known(&files(r#""a""#), r#""v""#), Some("known")),
    ] {
        assert_found(&config, &a, &b, expected);
    }
}

#[test]
fn patterns_overlap_where_some_path_is_matched_by_both() {
    covers!("SCO-07", "D-065", "SCO-11", "D-067");
    let config = crate::world::config();
    for (a, b, expected) in [
        (pattern("src/*.rs"), pattern("src/lib.rs"), Some("known")),
        (pattern("src/**"), pattern("src"), Some("known")),
        (pattern("**/x.py"), pattern("a/b/*.py"), Some("known")),
        (pattern("a/b*"), pattern("a/*c"), Some("known")),
        (pattern("./src//*"), pattern("src/a?"), Some("known")),
        (pattern("src/*"), pattern("src/a/b"), None),
        (pattern("*.py"), pattern("*.rs"), None),
        // URIs add an overlap and take none away.
        (known(&pattern("*.py"), r#""u""#), known(&pattern("*.rs"), r#""u""#), Some("known")),
        (known(&pattern("*.py"), r#""u""#), known(&pattern("a.*"), r#""v""#), Some("known")),
    ] {
        assert_found(&config, &a, &b, expected);
    }
}

#[test]
fn what_cannot_be_told_apart_is_assumed_to_overlap() {
    covers!("SCO-08", "SCO-09", "SCO-10", "SCO-11", "SCO-15", "D-066", "D-068", "EXT-06");
    let config = crate::world::config();
    let entity = r#"{"kind":"entity_set","entities":["e"]}"#.to_owned();
    let query = |text: &str| format!(r#"{{"kind":"query","expression":"{text}","language":"sql"}}"#);
    let odd = r#"{"kind":"x.planet","moons":["io"]}"#.to_owned();
    for (a, b, expected) in [
        (files(r#""a""#), entity.clone(), Some("assumed")),
        (known(&files(r#""a""#), r#""u""#), entity.clone(), Some("assumed")),
        (known(&files(r#""a""#), r#""u""#), known(&entity, r#""v""#), None),
        (known(&files(r#""a""#), r#""u""#), known(&entity, r#""U""#), None),
        (known(&files(r#""a""#), r#""u","v""#), known(&entity, r#""v""#), Some("known")),
        (files(r#""a.py""#), pattern("b/*"), None),
        (files(r#""a.py""#), pattern("*.py"), Some("known")),
        (known(&files(r#""a.py""#), r#""u""#), known(&pattern("*.py"), r#""v""#), None),
        (query("a"), query("b"), Some("assumed")),
        (known(&query("a"), r#""u""#), known(&query("b"), r#""v""#), None),
        (known(&query("a"), r#""u""#), known(&query("b"), r#""u""#), Some("known")),
        (odd.clone(), odd.clone(), Some("assumed")),
        (odd.clone(), files(r#""a""#), Some("assumed")),
        (known(&odd, r#""u""#), known(&files(r#""a""#), r#""v""#), None),
    ] {
        assert_found(&config, &a, &b, expected);
    }
    // What we do not know is kept and passed on.
    let mut world = two(config);
    assert!(announce(&mut world, "alice", "i", &odd)[0].text.contains(&odd));
    let kept = &world.coordinator.snapshot().intents.unwrap()[0].scope;
    assert_eq!(serde_json::to_string(kept).unwrap(), odd);
}

/// `User` and `user.py` are one thing, `db.py` another; so is whatever a query for it finds.
fn registered() -> SessionConfig {
    let mut config = crate::world::config();
    let text = r#"{"mappings":[
        {"canonical_uri":"resource://user","aliases":[{"kind":"file_set","value":"./user.py"},{"kind":"entity_set","value":"User"}]},
        {"canonical_uri":"resource://db","aliases":[{"kind":"file_set","value":"db.py"},{"kind":"query","value":"select db"}]}]}"#;
    config.resource_registry = Some(serde_json::from_str(text).unwrap());
    config
}

#[test]
fn the_registry_tells_things_apart_across_kinds() {
    covers!("SCO-14", "SCO-10", "D-066", "D-068");
    let config = registered();
    let user = r#"{"kind":"entity_set","entities":["User"]}"#;
    let nobody = r#"{"kind":"entity_set","entities":["Nobody"]}"#;
    let query = r#"{"kind":"query","expression":"select db","language":"sql"}"#;
    for (a, b, expected) in [
        (user, files(r#""user.py""#), Some("known")),
        (user, files(r#"".//user.py","x.py""#), Some("known")),
        (user, files(r#""db.py""#), None),
        (user, files(r#""x.py""#), Some("assumed")),
        (user, files(r#""db.py","x.py""#), Some("assumed")),
        (nobody, files(r#""db.py""#), Some("assumed")),
        (user, known(&files(r#""x.py""#), r#""resource://user""#), Some("known")),
        (user, known(&files(r#""x.py""#), r#""resource://x""#), None),
        (user, query.to_owned(), None),
        (query, files(r#""db.py""#), Some("known")),
    ] {
        assert_found(&config, a, &b, expected);
    }
    let mut world = two(config);
    let joined = world.join("carol", &[Role::Contributor]);
    assert!(
        joined[0].text.contains(r#""resource_registry":{"mappings":[{"canonical_uri":"resource://user""#)
    );
    assert_eq!(world.coordinator.snapshot().resource_registry.unwrap().mappings.len(), 2);
    // Where scopes can be told apart, an update is as well.
    announce(&mut world, "alice", "i", user);
    announce(&mut world, "bob", "j", &files(r#""db.py""#));
    let mut update = IntentUpdate::new(intent("j"));
    update.scope = Some(Scope::files(["db.py", "user.py"]));
    assert_eq!(heard(&world.say("bob", update), "alice"), ["INTENT_UPDATE j", "CONFLICT_REPORT"]);
}

#[test]
fn a_target_lies_in_a_scope_by_any_of_its_names() {
    covers!("SCO-16", "D-069", "D-105", "SCO-21");
    let mut world = two(registered());
    announce(&mut world, "alice", "i", r#"{"kind":"entity_set","entities":["User"]}"#);
    let commit = |id: &str, target: &str| commit_payload(id, None, target, "", "new");
    assert_eq!(heard(&world.say("bob", commit("o1", "user.py")), "alice"), ["OP_COMMIT", "CONFLICT_REPORT"]);
    assert_eq!(
        heard(&world.say("bob", commit("o2", "resource://user")), "alice"),
        ["OP_COMMIT", "CONFLICT_REPORT"]
    );
    assert_eq!(heard(&world.say("bob", commit("o3", "db.py")), "alice"), ["OP_COMMIT"]);
    assert_eq!(
        heard(&world.say("alice", commit_payload("o4", Some("i"), "./user.py", "new", "more")), "bob").len(),
        1
    );
    let flags: Vec<_> =
        world.coordinator.snapshot().operations.unwrap().into_iter().map(|it| it.out_of_scope).collect();
    assert_eq!(flags, [None; 4]);
}

#[test]
fn a_scope_lies_inside_another_only_where_that_is_proven() {
    covers!("SCO-17", "CLM-03", "D-086", "D-071");
    let user = r#"{"kind":"entity_set","entities":["User"]}"#;
    let query = r#"{"kind":"query","expression":"q","language":"sql"}"#;
    for (outer, inner, granted) in [
        (files(r#""a","b""#), files(r#""./a""#), true),
        (files(r#""a""#), files(r#""a","b""#), false),
        (files(r#""a""#), files(""), false),
        (pattern("src/*"), files(r#""src/x""#), true),
        (pattern("src/*"), files(r#""src/x/y""#), false),
        (files(r#""a""#), pattern("a"), true),
        (files(r#""a""#), pattern("*"), false),
        (pattern("src/**"), pattern("src/*.rs"), true),
        (pattern("src/*"), pattern("src/**"), false),
        (query.to_owned(), query.to_owned(), true),
        (query.to_owned(), query.replace("\"q\"", "\"r\""), false),
        (query.to_owned(), files(r#""a""#), false),
        (known(query, r#""resource://user""#), files(r#""user.py""#), true),
        (files(r#""user.py","x.py""#), user.to_owned(), false),
        (files(r#""user.py","db.py""#), user.to_owned(), true),
        (files(r#""db.py""#), user.to_owned(), false),
        (user.to_owned(), known(query, r#""resource://user""#), true),
    ] {
        let mut config = registered();
        config.liveness.intent_claim_grace_period_sec = Some(Seconds::whole(1));
        let mut world = two(config);
        announce(&mut world, "alice", "i", &outer);
        let mut goodbye = Goodbye::new("user_exit".into());
        goodbye.intent_disposition = Some("transfer".into());
        world.say("alice", goodbye);
        let claim = IntentClaim::new(
            "c".parse().unwrap(),
            intent("i"),
            "alice".parse().unwrap(),
            intent("j"),
            "o".to_owned(),
            scope(&inner),
        );
        world.say("bob", claim);
        world.wait(1.0);
        assert_eq!(world.coordinator.view().intent(&intent("j")).is_some(), granted, "{inner} in {outer}");
    }
}

#[test]
fn a_scope_says_what_its_kind_needs() {
    covers!("SCO-01", "D-064");
    let mut world = two(crate::world::config());
    for kind in ["file_set", "entity_set", "task_set", "resource_path", "query"] {
        let refused = error(&announce(&mut world, "bob", "i", &format!(r#"{{"kind":"{kind}"}}"#)), "bob");
        assert_eq!(refused.error_code, ErrorCode::MalformedMessage, "{kind}");
    }
}

/// What a report is compared by is bounded like what is announced: nobody has to be in it to send it.
#[test]
fn so_do_the_scopes_of_a_report() {
    covers!("SCO-01", "SRV-10", "D-134", "D-107", "SEC-37");
    let mut world = two(crate::world::config());
    announce(&mut world, "bob", "i", &files(r#""x""#));
    let (path, name) = (format!("**/{}", "a".repeat(510)), "a".repeat(4_097));
    let incomplete = r#"{"kind":"file_set"}"#.to_owned();
    for (bad, why) in [
        (pattern(&path), "pattern has more than 512 bytes"),
        (files(&format!("\"{name}\"")), "an entry has more than 4096 bytes"),
        (incomplete, "kind file_set needs resources"),
    ] {
        // Of both sides, whether or not intents are looked for by them.
        for (field, ids) in [("scope_a", ""), ("scope_b", ""), ("scope_a", r#","related_intents":["i"]"#)] {
            let text = format!(
                r#"{{"conflict_id":"c","category":"x","severity":"low","involved_principals":["bob"],"{field}":{bad}{ids}}}"#
            );
            let report: ConflictReport = serde_json::from_str(&text).unwrap();
            let refused = error(&world.say("alice", report), "alice");
            assert_eq!(refused.error_code, ErrorCode::MalformedMessage);
            assert_eq!(refused.description, format!("payload.{field}: {why}"));
        }
    }
    let longest = pattern(&format!("**/{}", "*".repeat(509)));
    let text = format!(
        r#"{{"conflict_id":"c","category":"x","severity":"low","involved_principals":["bob"],"scope_a":{longest}}}"#
    );
    let report: ConflictReport = serde_json::from_str(&text).unwrap();
    assert_eq!(heard(&world.say("alice", report), "alice"), ["CONFLICT_REPORT"]);
}

#[test]
fn a_scope_that_changes_its_kind_or_its_names_meets_others_as_a_new_one_does() {
    covers!("INT-13", "INT-14", "D-066", "D-067", "D-079");
    let (entities, query) = (
        r#"{"kind":"entity_set","entities":["e"]}"#,
        r#"{"kind":"query","expression":"q","language":"sql"}"#,
    );
    let (file, src) = (files(r#""src/x""#), pattern("src/*"));
    let (u, v) = (|scope: &str| known(scope, r#""u""#), |scope: &str| known(scope, r#""v""#));
    for (theirs, before, after, expected) in [
        (v(entities), u(&file), u(entities), true),
        (v(query), u(&src), v(&src), true),
        (v(&file), u(&src), u(&file), true),
        (v(query), u(&src), src.clone(), true),
        // Narrower, and told as well or as badly as before.
        (entities.to_owned(), src.clone(), file.clone(), false),
        (v(&file), u(&pattern("**")), u(&src), false),
        (v(query), u(&src), u(&pattern("src/x")), false),
    ] {
        let mut world = two(crate::world::config());
        announce(&mut world, "bob", "j", &theirs);
        announce(&mut world, "alice", "i", &before);
        let at_first = world.coordinator.view().conflicts().len();
        let mut update = IntentUpdate::new(intent("i"));
        update.scope = Some(scope(&after));
        let told = heard(&world.say("alice", update), "bob");
        assert_eq!(told.contains(&"CONFLICT_REPORT".to_owned()), expected, "{theirs}: {before} to {after}");
        assert_eq!(world.coordinator.view().conflicts().len(), at_first + usize::from(expected));
    }
}
