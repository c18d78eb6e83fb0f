//! Loading and writing back, on real directories.

use std::fs;
use std::path::Path;

use tempfile::{TempDir, tempdir};

use super::load::{self, Limits, Progress, Skipped};
use super::path::copy_suffix;
use super::write_back::{Mirror, Outcome, Refused, temporary};
use super::{File, Workspace};
use crate::error::Error;

/// Names the requirements that a test shows; `cargo xtask requirements` reads it.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {
        let _: &[&str] = &[$($id),+];
    };
}

const FRAME: usize = 1_048_576;

fn dir_with(files: &[(&str, &str)]) -> TempDir {
    let dir = tempdir().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

fn load(dir: &Path) -> Result<(Workspace, Vec<Skipped>), Error> {
    load::load(dir, &Limits::default(), &Progress::default())
}

fn loaded(dir: &TempDir) -> (Workspace, Vec<Skipped>) {
    load(dir.path()).unwrap()
}

fn names(workspace: &Workspace) -> Vec<&str> {
    workspace.files().map(|(path, _)| path).collect()
}

fn text(dir: &TempDir, path: &str) -> String {
    fs::read_to_string(dir.path().join(path)).unwrap()
}

fn file(content: &str) -> File {
    File::new(content.into())
}

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_are_loaded_byte_for_byte_in_code_point_order() {
    covers!("OCC-09", "D-092");
    let dir = dir_with(&[("b.py", "a\r\nb"), ("B.py", ""), ("src/é.py", "é"), (".github/x.yml", "y")]);
    let (workspace, skipped) = loaded(&dir);
    assert_eq!(names(&workspace), [".github/x.yml", "B.py", "b.py", "src/é.py"]);
    assert_eq!(&*workspace.get("b.py").unwrap().content, "a\r\nb");
    assert_eq!(workspace.get("b.py").unwrap().state_ref.as_str(), "sha256:18745f36a05e2907");
    assert_eq!(skipped, []);
}

#[test]
fn gitignore_rules_and_the_reference_s_list_leave_files_out_silently() {
    covers!("OCC-09");
    let dir = dir_with(&[
        (".gitignore", "*.log\n!keep.log\n"),
        ("a.log", "x"),
        ("keep.log", "x"),
        ("sub/.gitignore", "secret.txt"),
        ("sub/secret.txt", "x"),
        ("sub/open.txt", "x"),
        ("node_modules/x.js", "x"),
        (".git/config", "x"),
        ("Thumbs.db", "x"),
        (".mpac-tmp-1", "half of a file"),
    ]);
    let (workspace, skipped) = loaded(&dir);
    assert_eq!(names(&workspace), ["keep.log", "sub/open.txt"]);
    assert_eq!(skipped, []);
}

#[test]
fn rules_outside_the_directory_do_not_reach_into_it() {
    let outer = dir_with(&[(".gitignore", "*"), ("inner/a.py", "x")]);
    let (workspace, _) = load(&outer.path().join("inner")).unwrap();
    assert_eq!(names(&workspace), ["a.py"]);
}

#[test]
fn binary_and_oversized_files_are_named() {
    let dir = dir_with(&[
        ("ok.txt", "x"),
        ("large.txt", &"x".repeat(FRAME + 1)),
        ("escaped.txt", &"\n".repeat(FRAME - 500)),
    ]);
    fs::write(dir.path().join("picture.png"), [0x89, 0x50, 0xff]).unwrap();
    let (workspace, skipped) = loaded(&dir);
    assert_eq!(names(&workspace), ["ok.txt"]);
    let named: Vec<(&str, &str)> = skipped.iter().map(|it| (it.path.as_str(), it.reason.as_str())).collect();
    assert_eq!(
        named,
        [
            ("escaped.txt", "too large for one frame (1048076 bytes)"),
            ("large.txt", "too large for one frame (1048577 bytes)"),
            ("picture.png", "not UTF-8 text"),
        ]
    );
}

#[cfg(unix)]
#[test]
fn symbolic_links_are_named_and_not_followed() {
    let outside = dir_with(&[("secret.txt", "s"), ("d/x.txt", "s")]);
    let dir = dir_with(&[("a.txt", "x")]);
    std::os::unix::fs::symlink(outside.path().join("secret.txt"), dir.path().join("link.txt")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("d"), dir.path().join("linked")).unwrap();
    let (workspace, skipped) = loaded(&dir);
    assert_eq!(names(&workspace), ["a.txt"]);
    let named: Vec<&str> = skipped.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(named, ["link.txt", "linked"]);
}

#[test]
fn more_text_than_may_be_held_in_memory_is_refused_with_the_limit_and_the_option() {
    let dir =
        dir_with(&[("a.txt", "12345"), ("b.txt", "67890"), ("ignored.log", "x"), (".gitignore", "*.log")]);
    let with = |total| {
        let limits = Limits { total, ..Limits::default() };
        load::load(dir.path(), &limits, &Progress::default())
    };
    assert_eq!(names(&with(10).unwrap().0), ["a.txt", "b.txt"]);
    let error = with(9).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let line = error.to_string();
    assert!(line.contains("more than 9 bytes") && line.contains("--max-workspace-bytes"), "{line}");
}

#[test]
fn an_abandoned_load_ends_early_and_a_whole_one_has_counted() {
    let dir = dir_with(&[("a.txt", "12345"), ("b.txt", "é")]);
    let progress = Progress::default();
    load::load(dir.path(), &Limits::default(), &progress).unwrap();
    assert_eq!(progress.so_far(), (2, 7));
    progress.abandon();
    assert_eq!(names(&load::load(dir.path(), &Limits::default(), &progress).unwrap().0), [""; 0]);
}

#[test]
fn a_directory_that_is_none_is_named_with_the_remedy() {
    let missing = load(Path::new("no/such/dir")).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "workspace no/such/dir: there is no such directory; create it or name another with --workspace"
    );
    assert_eq!(missing.exit_code(), 2);
    let dir = dir_with(&[("a.txt", "x")]);
    let error = load(&dir.path().join("a.txt")).unwrap_err().to_string();
    assert!(error.contains("this is not a directory"), "{error}");
}

#[test]
fn a_commit_is_written_over_what_was_loaded() {
    let dir = dir_with(&[("src/a.py", "one\r\n")]);
    let mut mirror = Mirror::of(&loaded(&dir).0).unwrap();
    covers!("OCC-09");
    assert_eq!(mirror.write("src/a.py", &file("two\r\n")).unwrap(), Outcome::Written);
    assert_eq!(text(&dir, "src/a.py"), "two\r\n");
    assert_eq!(mirror.write("src/a.py", &file("three")).unwrap(), Outcome::Written);
    assert_eq!(text(&dir, "src/a.py"), "three");
    assert_eq!(entries(&dir.path().join("src")), ["a.py"], "no temporary file stays");
}

#[test]
fn a_new_file_gets_its_directories() {
    let dir = dir_with(&[("a.py", "x")]);
    let mut mirror = Mirror::of(&loaded(&dir).0).unwrap();
    assert_eq!(mirror.write("new/deep/b.py", &file("b")).unwrap(), Outcome::Written);
    assert_eq!(text(&dir, "new/deep/b.py"), "b");
}

#[cfg(unix)]
#[test]
fn the_mode_of_a_file_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let dir = dir_with(&[("run.sh", "#!/bin/sh\n")]);
    let path = dir.path().join("run.sh");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    let mut mirror = Mirror::of(&loaded(&dir).0).unwrap();
    mirror.write("run.sh", &file("#!/bin/sh\ntrue\n")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o750);
}

#[cfg(unix)]
#[test]
fn what_is_private_is_private_while_it_is_written() {
    use std::os::unix::fs::PermissionsExt;
    let dir = dir_with(&[("secrets.toml", "old")]);
    let path = dir.path().join("secrets.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let empty = temporary(dir.path(), Some(&fs::metadata(&path).unwrap())).unwrap();
    assert_eq!(empty.as_file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_somebody_changed_is_kept_and_the_commit_written_beside_it() {
    let dir = dir_with(&[("a.py", "loaded")]);
    let mut mirror = Mirror::of(&loaded(&dir).0).unwrap();
    fs::write(dir.path().join("a.py"), "edited by hand").unwrap();
    let ours = file("hello\n");
    let kept = Outcome::KeptTheirs { beside: "a.py.mpac-5891b5b5".to_owned() };
    assert_eq!(mirror.write("a.py", &ours).unwrap(), kept);
    assert_eq!(mirror.write("a.py", &ours).unwrap(), kept, "the same again is no failure");
    assert_eq!(text(&dir, "a.py"), "edited by hand");
    assert_eq!(text(&dir, "a.py.mpac-5891b5b5"), "hello\n");
}

#[test]
fn once_the_commit_is_taken_over_by_hand_the_next_one_is_written_again() {
    let dir = dir_with(&[("a.py", "loaded")]);
    let mut mirror = Mirror::of(&loaded(&dir).0).unwrap();
    fs::write(dir.path().join("a.py"), "edited by hand").unwrap();
    mirror.write("a.py", &file("hello\n")).unwrap();
    fs::rename(dir.path().join("a.py.mpac-5891b5b5"), dir.path().join("a.py")).unwrap();
    assert_eq!(mirror.write("a.py", &file("next")).unwrap(), Outcome::Written);
    assert_eq!(text(&dir, "a.py"), "next");
}

#[test]
fn a_file_that_somebody_created_is_left_as_it_is_and_one_that_somebody_removed_comes_back() {
    let dir = dir_with(&[("gone.py", "loaded")]);
    let mut mirror = Mirror::of(&loaded(&dir).0).unwrap();
    fs::remove_file(dir.path().join("gone.py")).unwrap();
    fs::write(dir.path().join("new.py"), "theirs").unwrap();
    assert_eq!(mirror.write("gone.py", &file("ours")).unwrap(), Outcome::Back);
    assert!(matches!(mirror.write("new.py", &file("ours")).unwrap(), Outcome::KeptTheirs { .. }));
    assert_eq!((text(&dir, "gone.py").as_str(), text(&dir, "new.py").as_str()), ("ours", "theirs"));
    let (workspace, skipped) = loaded(&dir);
    assert_eq!(names(&workspace), ["gone.py", "new.py"], "a copy is nothing to work on");
    let named: Vec<_> = skipped.iter().map(|it| (it.path.as_str(), it.reason.contains("merge"))).collect();
    let beside = format!("new.py{}", copy_suffix(&file("ours").state_ref));
    assert_eq!(named, [(beside.as_str(), true)], "and may not be forgotten");
}

#[test]
fn a_file_that_already_holds_the_commit_is_left_alone() {
    let dir = dir_with(&[("a.py", "loaded")]);
    let mut mirror = Mirror::of(&loaded(&dir).0).unwrap();
    fs::write(dir.path().join("a.py"), "same").unwrap();
    assert_eq!(mirror.write("a.py", &file("same")).unwrap(), Outcome::Written);
    assert_eq!(entries(dir.path()), ["a.py"]);
}

#[test]
fn nothing_is_written_outside_or_into_ignored_places() {
    let outer = dir_with(&[("ws/a.py", "x"), ("ws/f.txt", "x")]);
    let mut mirror = Mirror::of(&load(&outer.path().join("ws")).unwrap().0).unwrap();
    let absolute = outer.path().join("abs.txt").display().to_string();
    for name in ["../x", "a/../../x", absolute.as_str(), "", "a\\b", "a//b"] {
        assert!(matches!(mirror.write(name, &file("evil")), Err(Refused::Outside)), "{name}");
    }
    for name in [
        "git~1/hooks/pre-commit",
        ".git:x",
        ".git/hooks/pre-commit",
        "x/.GIT/config",
        "node_modules/x.js",
        ".gitignore",
        ".git",
    ] {
        assert!(matches!(mirror.write(name, &file("evil")), Err(Refused::Ignored(_))), "{name}");
    }
    for name in ["f.txt/x", "f.txt/x/y"] {
        assert!(matches!(mirror.write(name, &file("evil")), Err(Refused::Beside(_))), "{name}");
    }
    assert_eq!(entries(outer.path()), ["ws"]);
    assert_eq!(entries(&outer.path().join("ws")), ["a.py", "f.txt"]);
}

#[test]
fn a_file_is_written_where_somebody_made_room_for_it() {
    let dir = dir_with(&[("docs", "x"), ("lib/a.py", "x"), ("full", "x")]);
    let mut mirror = Mirror::of(&loaded(&dir).0).unwrap();
    for name in ["docs", "full"] {
        fs::remove_file(dir.path().join(name)).unwrap();
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::remove_dir_all(dir.path().join("lib")).unwrap();
    fs::write(dir.path().join("full/b"), "made by hand").unwrap();
    for name in ["docs/index.md", "lib"] {
        assert_eq!(mirror.write(name, &file("new")).unwrap(), Outcome::Written);
        assert_eq!(text(&dir, name), "new");
    }
    for (name, other) in [("docs", "docs/index.md"), ("lib/a.py", "lib")] {
        let refused = mirror.write(name, &file("new")).unwrap_err();
        assert!(matches!(&refused, Refused::Beside(beside) if beside == other), "{name}: {refused}");
    }
    // What is in the way here is no file of the session: it may go.
    let refused = mirror.write("full/b/c", &file("new")).unwrap_err();
    assert!(matches!(refused, Refused::Occupied { .. }), "{refused}");
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_made_after_loading_is_not_followed() {
    let outside = dir_with(&[("a.py", "outside")]);
    let dir = dir_with(&[("a.py", "loaded"), ("d/b.py", "loaded")]);
    let mut mirror = Mirror::of(&loaded(&dir).0).unwrap();
    fs::remove_file(dir.path().join("a.py")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("a.py"), dir.path().join("a.py")).unwrap();
    fs::remove_dir_all(dir.path().join("d")).unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("d")).unwrap();
    for name in ["a.py", "d/a.py", "d/new.py"] {
        assert!(matches!(mirror.write(name, &file("evil")), Err(Refused::Link(_))), "{name}");
    }
    assert_eq!(text(&outside, "a.py"), "outside");
    assert_eq!(entries(outside.path()), ["a.py"]);
}
