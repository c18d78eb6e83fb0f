//! Whatever is damaged, a repair says what it costs, costs no more, and keeps everything.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mpac_core::Coordinator;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::store::kept::Kept;
use crate::store::media::segment;
use crate::store::reading::{Begins, Reading};
use crate::store::record;
use crate::store::snapshot::tests::{resumed_in, written_in};
use crate::store::snapshot::{self, Saved};

const FIRST: &str = "00000000000000000001.log";
/// Entries of the log that is written.
const ENTRIES: u64 = 9;

/// A session in a data directory, and the snapshot after each of its entries.
fn session(segment: u64) -> (TempDir, PathBuf, Vec<Saved>) {
    let data = tempdir().unwrap();
    let dir = data.path().join("sessions/s/1");
    fs::create_dir_all(&dir).unwrap();
    let saved = written_in(&dir, segment);
    (data, dir, saved)
}

fn state(saved: &Saved) -> (Coordinator, Kept) {
    saved.load().unwrap()
}

/// Turns a bit in the middle of entry `n`.
fn damage(dir: &Path, n: u64) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "log") {
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        let found = record::scan(&bytes)
            .find(|(_, json, _)| json.starts_with(&format!("{{\"n\":{n},")))
            .map(|(at, json, _)| at + 74 + json.len() / 2);
        if let Some(at) = found {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            return;
        }
    }
    panic!("there is no entry {n}");
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    all.map(|entry| (entry.file_name().into(), fs::read(entry.path()).unwrap())).collect()
}

/// Lives what is kept through from its base, as an audit does; gives how it was repaired.
fn verified(dir: &Path) -> Vec<String> {
    let reading = Reading::open(dir).unwrap();
    let mut replay = reading.replay().unwrap();
    reading.entries(&mut |_, entry| replay.follow(entry).map(ControlFlow::Continue)).unwrap();
    replay.repairs().iter().map(|it| it.way.clone()).collect()
}

#[test]
fn nothing_is_wrong_with_a_log_that_is_whole() {
    let (_data, dir, saved) = session(1 << 20);
    assert!(survey(&dir).unwrap().is_none());
    saved[4].write(&dir, false).unwrap();
    assert!(survey(&dir).unwrap().is_none());
}

#[test]
fn a_snapshot_newer_than_the_damage_loses_nothing_but_the_audit_of_what_was_before() {
    for segment in [1 << 20, 600] {
        for damaged in 1..=5 {
            let (_data, dir, saved) = session(segment);
            let whole = state(&saved[8]);
            saved[4].write(&dir, false).unwrap();
            damage(&dir, damaged);
            let before = files(&dir);
            let found = survey(&dir).unwrap().unwrap();
            assert_eq!((found.until, found.snapshot), (damaged - 1, Some(5)), "{damaged}");
            let plan = found.plan(Way::Snapshot).unwrap();
            assert!(plan.lost.is_nothing(), "{damaged}: {}", plan.lost);
            assert!(found.plan(Way::Cut).is_none_or(|cut| !cut.lost.is_nothing()), "{damaged}");
            let aside = rebuild(&dir, &found, plan).unwrap();
            assert_eq!(files(&aside), before, "{damaged}: everything is kept");
            assert!(resumed_in(&dir).unwrap() == whole, "{damaged}, segments of {segment}");
            assert_eq!(verified(&dir), ["snapshot"]);
            assert!(survey(&dir).unwrap().is_none(), "{damaged}: it is whole now");
        }
    }
}

#[test]
fn a_cut_goes_on_from_what_is_before_the_damage_and_names_what_is_lost() {
    for segment in [1 << 20, 600] {
        for damaged in 2..=ENTRIES {
            let (_data, dir, saved) = session(segment);
            damage(&dir, damaged);
            let found = survey(&dir).unwrap().unwrap();
            assert!(found.plan(Way::Snapshot).is_none());
            let plan = found.plan(Way::Cut).unwrap();
            assert!(
                !plan.lost.is_nothing() && plan.lost.unreadable && plan.lost.readable == ENTRIES - damaged
            );
            let lost = plan.lost.to_string();
            let commits = [4, 7, 9].iter().filter(|&&n| n > damaged).count();
            let listed = format!("sent, {commits} in all:\n        agent:a: a.py");
            assert_eq!(lost.contains(&listed), commits > 0, "{damaged}: {lost}");
            assert_eq!(lost.contains("i-1 (o), b.py"), damaged < 3, "{damaged}: {lost}");
            rebuild(&dir, &found, plan).unwrap();
            let (core, _) = resumed_in(&dir).unwrap();
            let before = state(&saved[damaged as usize - 2]).0;
            assert_eq!(core.view().lamport(), before.view().lamport(), "{damaged}");
            // Whoever goes on speaks above every epoch that anybody may have heard.
            let next =
                Coordinator::restore(state(&saved[8]).1.config, &core.snapshot(), 7, core.view().now());
            assert!(next.unwrap().epoch() > state(&saved[8]).0.epoch(), "{damaged}");
            assert_eq!(verified(&dir), ["cut"]);
        }
    }
}

#[test]
fn a_segment_that_is_gone_is_damage_too() {
    let (_data, dir, saved) = session(600);
    let segments: Vec<PathBuf> =
        files(&dir).into_keys().filter(|name| name.extension().is_some_and(|it| it == "log")).collect();
    assert!(segments.len() > 3);
    for gone in &segments {
        let (_data, dir, _) = session(600);
        fs::remove_file(dir.join(gone)).unwrap();
        let found = survey(&dir).unwrap().unwrap();
        assert!(found.damage.to_string().starts_with("there is no segment"), "{}", found.damage);
        if gone == Path::new(FIRST) {
            assert!(found.plans.is_empty(), "nothing to begin from");
            continue;
        }
        let plan = found.plan(Way::Cut).unwrap();
        assert!(plan.lost.unreadable);
        rebuild(&dir, &found, plan).unwrap();
        assert_eq!(verified(&dir), ["cut"], "{}", gone.display());
    }
    // With a snapshot of its end nothing of the session is lost, but nobody can know.
    saved[8].write(&dir, false).unwrap();
    segments[2..].iter().for_each(|gone| fs::remove_file(dir.join(gone)).unwrap());
    let found = survey(&dir).unwrap().unwrap();
    let plan = found.plan(Way::Snapshot).unwrap();
    assert!(plan.lost.unreadable && plan.after == ENTRIES);
    rebuild(&dir, &found, plan).unwrap();
    assert!(resumed_in(&dir).unwrap().0.view().lamport() == state(&saved[8]).0.view().lamport());
}

#[test]
fn an_interrupted_repair_leaves_the_old_or_the_new() {
    let (_data, dir, saved) = session(1 << 20);
    saved[4].write(&dir, false).unwrap();
    damage(&dir, 2);
    let old = files(&dir);
    let of_name = dir.parent().unwrap();
    let at = |name: &str| of_name.join(name);
    // While it is built, and before the old one is moved.
    for unfinished in [".half-1", ".repaired-1"] {
        fs::create_dir(at(unfinished)).unwrap();
        fs::write(at(unfinished).join(FIRST), "x").unwrap();
        finish(of_name).unwrap();
        assert!(!at(unfinished).exists() && files(&dir) == old, "{unfinished}");
    }
    let found = survey(&dir).unwrap().unwrap();
    rebuild(&dir, &found, found.plan(Way::Snapshot).unwrap()).unwrap();
    let new = files(&dir);
    // After the old one was moved, and before the new one has its name.
    fs::rename(&dir, at(".repaired-1")).unwrap();
    finish(of_name).unwrap();
    assert!(files(&dir) == new && !at(".repaired-1").exists());
}

#[test]
fn a_session_without_its_base_goes_on_from_a_snapshot_or_not_at_all() {
    for with_snapshot in [true, false] {
        let (_data, dir, saved) = session(1);
        let whole = state(&saved[8]);
        saved[2].write(&dir, true).unwrap();
        if with_snapshot {
            saved[5].write(&dir, true).unwrap();
        } else {
            fs::remove_file(dir.join("snapshot-00000000000000000003")).unwrap();
        }
        let why = "what was before was deleted after 90 days".to_owned();
        Begins { after: 3, at: whole.0.view().now(), why }.write(&dir).unwrap();
        for first in 1..=3 {
            fs::remove_file(dir.join(segment(first))).unwrap();
        }
        assert!(survey(&dir).unwrap().is_none(), "it begins at its base");
        // A snapshot is the same file under another name.
        let base = snapshot::base(&dir, 3);
        fs::remove_file(&base).unwrap();
        fs::write(&base, "spoilt").unwrap();
        let found = survey(&dir).unwrap().unwrap();
        assert!(found.damage.to_string().contains("base-00000000000000000003"), "{}", found.damage);
        assert_eq!((found.until, found.plan(Way::Cut).is_none()), (0, true));
        let Some(plan) = found.plan(Way::Snapshot) else {
            assert!(!with_snapshot);
            continue;
        };
        assert!(plan.lost.is_nothing(), "{}", plan.lost);
        rebuild(&dir, &found, plan).unwrap();
        assert!(resumed_in(&dir).unwrap() == whole);
        assert_eq!(verified(&dir), ["snapshot"]);
    }
}

#[test]
fn a_base_will_do_where_no_snapshot_can_be_read() {
    let (_data, dir, saved) = session(1);
    let whole = state(&saved[8]);
    saved[4].write(&dir, true).unwrap();
    damage(&dir, 2);
    fs::remove_file(dir.join("snapshot-00000000000000000005")).unwrap();
    let found = survey(&dir).unwrap().unwrap();
    let plan = found.plan(Way::Snapshot).unwrap();
    assert!(plan.lost.is_nothing() && !found.starts, "{}", plan.lost);
    // The last segment, in which nothing is yet, is gone: nobody can know that.
    let head = dir.join(segment(ENTRIES + 1));
    let bytes = fs::read(&head).unwrap();
    fs::remove_file(&head).unwrap();
    assert!(survey(&dir).unwrap().unwrap().plan(Way::Snapshot).unwrap().lost.unreadable);
    fs::write(&head, bytes).unwrap();
    rebuild(&dir, &found, plan).unwrap();
    assert!(resumed_in(&dir).unwrap() == whole);
    assert_eq!(verified(&dir), ["snapshot"]);
}
