//! Watermarks of every kind, and the coordinator's clock.

use mpac_wire::names::{Decision, ErrorCode, Role};
use mpac_wire::payload::{ConflictReport, Heartbeat, Resolution};
use mpac_wire::{Message, Watermark};

use crate::covers;
use crate::freeze::{dispute, patient};
use crate::world::{Delivery, World, error, heard, intent};

/// `name` says this with another watermark.
fn say_with(
    world: &mut World,
    name: &str,
    watermark: Option<&str>,
    message: impl Into<Message>,
) -> Vec<Delivery> {
    let stamp = world.stamp();
    let mut envelope = world.people.get_mut(name).unwrap().1.write(stamp, message);
    envelope.watermark = watermark.map(|text| serde_json::from_str(text).unwrap());
    world.send(name, &envelope)
}

fn idle() -> Heartbeat {
    Heartbeat::new("idle".into())
}

#[test]
fn every_kind_of_watermark_is_taken_and_its_lamport_value_used() {
    covers!("LAM-01", "LAM-02", "LAM-03", "LAM-04", "LAM-05", "LAM-08", "LAM-09", "D-028");
    let mut world = World::of(&["bob"]);
    let clock = |world: &World| world.coordinator.view().lamport();
    for (at, kind) in ["vector_clock", "causal_frontier", "opaque", "x.unheard_of"].iter().enumerate() {
        let value = 1000 * (at as u64 + 1);
        let text = format!(r#"{{"kind":"{kind}","value":{{"bob":3}},"lamport_value":{value}}}"#);
        assert_eq!(say_with(&mut world, "bob", Some(&text), idle()).len(), 0, "{kind}");
        assert_eq!(clock(&world), value + 1, "{kind}: max and one");
        // The same place again is no growth, whatever the kind (LAM-13).
        assert_eq!(
            error(&say_with(&mut world, "bob", Some(&text), idle()), "bob").error_code,
            ErrorCode::MalformedMessage
        );
        let before = clock(&world);
        let unplaced = format!(r#"{{"kind":"{kind}","value":"?"}}"#);
        assert_eq!(say_with(&mut world, "bob", Some(&unplaced), idle()).len(), 0, "{kind}");
        assert_eq!(clock(&world), before + 1, "{kind}: only ticks");
    }
    for bad in [
        r#"{"kind":"vector_clock","value":{},"lamport_value":9007199254740991}"#,
        r#"{"kind":"lamport_clock","value":-1}"#,
        r#"{"kind":"lamport_clock","value":"7"}"#,
    ] {
        let before = clock(&world);
        let refused = error(&say_with(&mut world, "bob", Some(bad), idle()), "bob");
        assert_eq!(refused.error_code, ErrorCode::MalformedMessage, "{bad}");
        assert_eq!(clock(&world), before + 1, "{bad}: the answer's tick alone");
    }
    assert_eq!(say_with(&mut world, "bob", None, idle()).len(), 0, "none is none");
}

#[test]
fn the_coordinator_receives_once_and_ticks_for_each_message_of_its_own() {
    covers!("LAM-06", "LAM-07", "LAM-09", "LAM-10", "LAM-16");
    let mut world = World::new();
    assert_eq!(world.coordinator.view().lamport(), 0);
    world.join("alice", &[Role::Contributor]);
    // HELLO says 1: received makes 2, SESSION_INFO 3.
    assert_eq!(world.coordinator.view().lamport(), 3);
    world.join("bob", &[Role::Contributor]);
    world.announce("alice", "i", &["x"]);
    let before = world.coordinator.view().lamport();
    let deliveries = world.announce("bob", "j", &["x"]);
    let Message::ConflictReport(report) = &deliveries.last().unwrap().message else { panic!() };
    let announced: mpac_wire::Envelope = serde_json::from_str(&deliveries[0].text).unwrap();
    let said = announced.watermark.unwrap().lamport_value().unwrap().unwrap();
    let received = before.max(said) + 1;
    assert_eq!(world.coordinator.view().lamport(), received + 1, "received, then reported");
    let based_on = report.based_on_watermark.as_ref().unwrap();
    assert_eq!(based_on, &Watermark::lamport(received), "not beyond what it had seen");
    // A frame that fails one of the first thirteen checks is not received.
    let before = world.coordinator.view().lamport();
    let conn = world.people["bob"].0;
    let stamp = world.stamp();
    let mut envelope = world.people.get_mut("bob").unwrap().1.write(stamp, idle());
    envelope.watermark = Some(Watermark::lamport(1_000_000));
    envelope.sender.principal_id = "alice".parse().unwrap();
    assert_eq!(
        error(&world.frame(conn, &envelope.to_json()), "bob").error_code,
        ErrorCode::AuthorizationFailed
    );
    assert_eq!(world.coordinator.view().lamport(), before + 1);
}

#[test]
fn a_judgement_from_what_cannot_be_placed_is_kept_and_marked() {
    covers!("LAM-05", "D-030", "LAM-14");
    let opaque = r#"{"kind":"vector_clock","value":{"bob":3}}"#;
    let report = |id: &str, based_on: Option<&str>| {
        let mut report = ConflictReport::new(id.parse().unwrap(), "x".into(), "low".into());
        report.related_intents = Some(vec![intent("i1")]);
        report.based_on_watermark = based_on.map(|text| serde_json::from_str(text).unwrap());
        report
    };
    let mut world = dispute(patient());
    world.join("olga", &[Role::Owner]);
    let known = r#"{"kind":"vector_clock","value":{"bob":3},"lamport_value":2}"#;
    for (id, envelope, payload) in [
        ("c1", Some(opaque), None),
        ("c2", None, Some(opaque)),
        ("c3", Some(opaque), Some(known)),
        ("c4", None, Some(r#"{"kind":"lamport_clock","value":2}"#)),
    ] {
        let deliveries = say_with(&mut world, "bob", envelope, report(id, payload));
        assert_eq!(heard(&deliveries, "alice"), ["CONFLICT_REPORT"], "{id}");
    }
    let refused =
        say_with(&mut world, "bob", None, report("c5", Some(r#"{"kind":"lamport_clock","value":-2}"#)));
    assert_eq!(error(&refused, "bob").error_code, ErrorCode::MalformedMessage);
    let resolution = Resolution::new("c4".parse().unwrap(), Decision::Dismissed);
    say_with(&mut world, "olga", Some(opaque), resolution);
    let resolution = Resolution::new("c3".parse().unwrap(), Decision::Dismissed);
    assert_eq!(heard(&say_with(&mut world, "olga", None, resolution), "bob"), ["RESOLUTION dismissed"]);
    let conflicts = world.coordinator.snapshot().conflicts.unwrap();
    let of = |id: &str| conflicts.iter().find(|it| it.conflict_id.as_str() == id).unwrap();
    let marks: Vec<_> = ["c1", "c2", "c3", "c4"].map(|id| of(id).causally_partial).into();
    assert_eq!(marks, [Some(true), Some(true), None, None]);
    let decided = |id: &str| of(id).resolution.as_ref().unwrap().causally_partial;
    assert_eq!((decided("c3"), decided("c4")), (None, Some(true)));
}
