//! Nothing goes before its time, and what is left is a session that goes on and verifies.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::ops::ControlFlow;

use flate2::read::GzDecoder;
use mpac_core::{Command, Input};
use mpac_wire::names::{CloseDisposition, CloseReason};
use tempfile::{TempDir, tempdir};

use super::super::read::{Damage, Found};
use super::*;
use crate::store::entry::{Entry, Happened};
use crate::store::media::segment;
use crate::store::reading::{Reading, origin};
use crate::store::snapshot::tests::{resumed_in, written_in};
use crate::store::snapshot::{self, Saved};
use crate::store::tail::Tail;
use crate::store::{Durability, Stored, gzip, sessions};

/// Names the requirements that a test shows, for `cargo xtask requirements`.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {{ let _ = [$($id),+]; }};
}

/// The session ends in 1970; so many days after that are so many microseconds.
fn after(days: i64) -> Timestamp {
    Timestamp::from_micros(days * 86_400_000_000)
}

struct Rig {
    data: TempDir,
    archive: TempDir,
    dir: PathBuf,
    saved: Vec<Saved>,
    work: Work,
}

/// A session of nine entries in small segments, with the snapshots that were taken while it was written: each ends a segment.
fn rig(archive: bool) -> Rig {
    let (data, into) = (tempdir().unwrap(), tempdir().unwrap());
    let dir = data.path().join("sessions/s/1");
    fs::create_dir_all(&dir).unwrap();
    let saved = written_in(&dir, 1);
    for snapshot in &saved {
        snapshot.write(&dir, true).unwrap();
    }
    let archive_dir = archive.then(|| Archive::new(into.path().to_owned(), data.path().to_owned()));
    let work = Work {
        data: data.path().to_owned(),
        archive: archive_dir,
        house: Arc::default(),
        over: BTreeMap::new(),
        said: BTreeMap::new(),
    };
    Rig { data, archive: into, dir, saved, work }
}

/// Of how many entries the log is, lived through from where it begins; and where that is.
fn verified(dir: &Path) -> (u64, Option<String>) {
    let reading = Reading::open(dir).unwrap();
    let mut replay = reading.replay().unwrap();
    let mut count = 0;
    let mut follow = |_: &Found<'_>, entry| {
        count += 1;
        replay.follow(entry).map(ControlFlow::Continue)
    };
    reading.entries(&mut follow).unwrap();
    (count, reading.begins().map(|begins| format!("{}: {}", begins.after, begins.why)))
}

fn names(dir: &Path) -> BTreeSet<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_is_behind_both_snapshots_is_compressed_and_reads_as_before() {
    let mut rig = rig(false);
    let whole = resumed_in(&rig.dir).unwrap();
    let plain = fs::read(rig.dir.join(segment(3))).unwrap();
    let house = Arc::clone(&rig.work.house);
    let in_use = House::uses(&house, &rig.dir);
    rig.work.session(&rig.dir, Some(after(0))).unwrap();
    // The snapshots are of entries 8 and 9.
    for first in 1..=10 {
        let packed = rig.dir.join(format!("{}.gz", segment(first))).exists();
        assert_eq!((packed, rig.dir.join(segment(first)).exists()), (first <= 8, first > 8), "{first}");
    }
    let mut text = Vec::new();
    let file = fs::File::open(rig.dir.join(format!("{}.gz", segment(3)))).unwrap();
    GzDecoder::new(file).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain);
    assert_eq!(verified(&rig.dir), (9, None));
    for snapshot in ["snapshot-00000000000000000008", "snapshot-00000000000000000009"] {
        fs::remove_file(rig.dir.join(snapshot)).unwrap();
    }
    assert!(resumed_in(&rig.dir).unwrap() == whole, "from the beginning");
    drop(in_use);
}

#[test]
fn both_forms_of_a_segment_may_be_there_and_the_original_counts() {
    let mut rig = rig(false);
    let _in_use = House::uses(&Arc::clone(&rig.work.house), &rig.dir);
    fs::write(gzip::packed(&rig.dir.join(segment(2))), "half of it").unwrap();
    assert_eq!(verified(&rig.dir), (9, None));
    rig.work.session(&rig.dir, None).unwrap();
    assert_eq!(verified(&rig.dir), (9, None));
}

#[test]
fn older_segments_of_a_session_that_lives_go_after_their_time_and_never_before_they_are_archived() {
    covers!("SES-21", "SEC-35", "PRV-01");
    let mut rig = rig(true);
    let whole = resumed_in(&rig.dir).unwrap();
    let house = Arc::clone(&rig.work.house);
    let _in_use = House::uses(&house, &rig.dir);
    rig.work.session(&rig.dir, Some(after(90))).unwrap();
    assert_eq!(verified(&rig.dir), (9, None), "too early: the first entry came a second later");
    let archived = rig.archive.path().join("sessions/s/1");
    assert_eq!(names(&archived).iter().filter(|name| name.ends_with(".log.gz")).count(), 8);

    let spoilt = archived.join(format!("{}.gz", segment(1)));
    let good = fs::read(&spoilt).unwrap();
    fs::copy(archived.join(format!("{}.gz", segment(2))), &spoilt).unwrap();
    let refused = rig.work.session(&rig.dir, Some(after(91))).unwrap_err().to_string();
    assert!(refused.contains("--archive-dir"), "{refused}");
    assert_eq!(verified(&rig.dir), (9, None), "nothing is deleted that is not archived");
    fs::write(&spoilt, good).unwrap();

    rig.work.session(&rig.dir, Some(after(91))).unwrap();
    // The segments of entries 9 and 10 are not behind both snapshots.
    assert_eq!(verified(&rig.dir), (1, Some("8: what was before was deleted after 90 days".to_owned())));
    assert!(resumed_in(&rig.dir).unwrap() == whole);
    for (_, path) in snapshot::listed(&rig.dir).unwrap() {
        fs::remove_file(path).unwrap();
    }
    assert!(resumed_in(&rig.dir).unwrap() == whole, "from the base");
    assert_eq!(verified(&archived), (8, None), "the archive can be read like a data directory");
}

#[test]
fn what_was_deleted_while_nothing_was_archived_leaves_no_hole_in_the_archive() {
    let mut rig = rig(true);
    let house = Arc::clone(&rig.work.house);
    let _in_use = House::uses(&house, &rig.dir);
    rig.work.session(&rig.dir, None).unwrap();
    let archived = rig.archive.path().join("sessions/s/1");
    for first in 5..=8 {
        fs::remove_file(archived.join(format!("{}.gz", segment(first)))).unwrap();
    }
    let archive = rig.work.archive.take().unwrap();
    rig.work.session(&rig.dir, Some(after(91))).unwrap();
    archive.take_all(&rig.dir, house.stopping()).unwrap();
    assert_eq!(verified(&rig.archive.path().join("sessions/s/1.until-1")), (4, None), "as far as it came");
    assert_eq!(verified(&archived), verified(&rig.dir));
    archive.take_all(&rig.dir, house.stopping()).unwrap();
    assert!(!rig.archive.path().join("sessions/s/1.until-2").exists(), "it goes on where it is");
}

#[test]
fn an_interrupted_deletion_leaves_a_session_that_goes_on() {
    let mut rig = rig(false);
    let whole = resumed_in(&rig.dir).unwrap();
    let house = Arc::clone(&rig.work.house);
    let in_use = House::uses(&house, &rig.dir);
    rig.work.session(&rig.dir, None).unwrap();
    let before = names(&rig.dir);
    let copies: Vec<(String, Vec<u8>)> =
        before.iter().map(|name| (name.clone(), fs::read(rig.dir.join(name)).unwrap())).collect();
    rig.work.session(&rig.dir, Some(after(91))).unwrap();
    let gone: Vec<_> = copies.into_iter().filter(|(name, _)| !rig.dir.join(name).exists()).collect();
    assert!(gone.len() > 8, "{gone:?}");
    // In whatever order they go, and wherever it stops.
    for (name, bytes) in &gone {
        fs::write(rig.dir.join(name), bytes).unwrap();
        assert!(resumed_in(&rig.dir).unwrap() == whole, "{name}");
        assert_eq!(verified(&rig.dir).0, 1, "{name}");
        let mut tail = Tail::from_the_first(&rig.dir).unwrap();
        origin(&rig.dir, tail.at().n).unwrap();
        assert_eq!(
            tail.read(None, usize::MAX).map_err(|error| error.to_string()).map(|it| it.count),
            Ok(1),
            "{name}"
        );
    }
    rig.work.session(&rig.dir, Some(after(92))).unwrap();
    assert!(gone.iter().all(|(name, _)| !rig.dir.join(name).exists()), "the next time finishes it");
    drop(in_use);
}

#[test]
fn whoever_reads_meanwhile_hears_of_that_and_not_of_damage() {
    let mut rig = rig(false);
    let house = Arc::clone(&rig.work.house);
    let _in_use = House::uses(&house, &rig.dir);
    let (dir, work) = (rig.dir.clone(), &mut rig.work);
    let reading = Reading::open(&dir).unwrap();
    let read = reading.entries(&mut |found, _| {
        if found.n == 1 {
            work.session(&dir, Some(after(91))).unwrap();
        }
        Ok(ControlFlow::Continue(()))
    });
    assert!(matches!(read, Err(Damage::Deleted)), "{read:?}");
    assert!(verified(&dir).1.is_some(), "a second look begins behind what is gone");
}

#[test]
fn without_a_usable_snapshot_nothing_is_deleted() {
    let mut rig = rig(false);
    let house = Arc::clone(&rig.work.house);
    let _in_use = House::uses(&house, &rig.dir);
    fs::write(rig.dir.join("snapshot-00000000000000000008"), "spoilt").unwrap();
    let refused = rig.work.session(&rig.dir, Some(after(91))).unwrap_err().to_string();
    assert!(refused.contains("nothing is deleted"), "{refused}");
    assert_eq!(verified(&rig.dir), (9, None));
}

#[test]
#[cfg(unix)]
fn a_snapshot_that_went_while_it_was_looked_for_is_no_reason_to_keep_everything() {
    let mut rig = rig(false);
    let house = Arc::clone(&rig.work.house);
    let _in_use = House::uses(&house, &rig.dir);
    // Listed, and not there when it is read.
    std::os::unix::fs::symlink("gone", rig.dir.join("snapshot-00000000000000000007")).unwrap();
    rig.work.session(&rig.dir, Some(after(91))).unwrap();
    assert!(verified(&rig.dir).1.is_some(), "nothing was deleted");
}

#[test]
fn a_session_that_is_over_goes_as_a_whole_and_leaves_a_note() {
    let mut rig = rig(true);
    // Another of its name came after it.
    let next = rig.data.path().join("sessions/s/2");
    fs::create_dir_all(&next).unwrap();
    written_in(&next, 1 << 20);
    rig.work.everything_at(after(90));
    assert_eq!(sessions(rig.data.path()).unwrap().len(), 2, "too early");
    rig.work.everything_at(after(91));
    assert_eq!(sessions(rig.data.path()).unwrap(), [next]);
    let note = fs::read_to_string(rig.data.path().join("sessions/s/1.deleted")).unwrap();
    assert!(note.contains(r#""session":"s""#) && note.contains(r#""audit_retention_days":90"#), "{note}");
    assert_eq!(verified(&rig.archive.path().join("sessions/s/1")), (rig.saved.len() as u64, None));
    assert_eq!(crate::store::highest(&rig.data.path().join("sessions/s")).unwrap(), 2);
}

#[test]
fn a_session_is_over_that_ended_after_its_last_snapshot() {
    let mut rig = rig(false);
    let stored = Stored::at(rig.dir.clone());
    let (mut log, mut replay) = stored.resume(Durability::Fsync).unwrap().unwrap();
    let (core, _) = replay.session().unwrap();
    let mut core = core.clone();
    let (reason, disposition) = (CloseReason::Manual, CloseDisposition::WithdrawAll);
    let end = Input::Command(Command::Close { reason, disposition });
    let mut add = |entry: Entry| {
        let copy = serde_json::from_str(&serde_json::to_string(&entry).unwrap()).unwrap();
        replay.follow(copy).unwrap();
        log.append(&[entry]).unwrap();
    };
    let record = core.stamp(Timestamp::from_micros(60_000_000), end);
    let step = core.apply(&record).unwrap();
    add(Entry::Input(Happened::new(&record, step.digest()).unwrap()));
    drop(log);
    rig.work.everything_at(after(90));
    assert_eq!(sessions(rig.data.path()).unwrap(), [rig.dir.clone()], "too early");
    rig.work.everything_at(after(91));
    assert!(sessions(rig.data.path()).unwrap().is_empty());
}
