//! A real disk that is really full, where this machine lets us make a small one.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::covers;
use crate::files::commit;
use crate::program_rig::{Program, run};
use crate::storing::{come_back, read, verified};

/// A file system of a size of its own; it is gone with this value.
struct Disk(TempDir);

impl Disk {
    /// `None` where that may not be made: it takes an administrator on Linux.
    fn of(size: &str) -> Option<Self> {
        let dir = tempdir().unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "none"], dir.path()).then_some(Self(dir))
    }

    fn grows_to(&self, size: &str) {
        assert!(mount(&["-o", &format!("remount,size={size}")], self.0.path()));
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn mount(args: &[&str], dir: &Path) -> bool {
    Command::new("mount").args(args).arg(dir).output().is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn a_full_disk_stops_the_server_in_good_order_and_loses_nothing() {
    covers!("SRV-13", "REC-20");
    let Some(disk) = Disk::of("2M") else {
        eprintln!("skipped: no file system may be made here; session::tests has the same with a fake one");
        return;
    };
    let reserve = "--reserve-bytes=524288";
    let program = Program::start(&disk.data(), &[reserve, "--heartbeat-interval-sec=600"]);
    let (mut alice, _) = program.join("agent:alice").await;
    let content = "x".repeat(30_000);
    let (mut acknowledged, mut handed_over) = (0, false);
    for n in 0.. {
        commit(&mut alice, &format!("op-{n}"), &format!("{n}.txt"), "", &content).await;
        // The answer, or the end.
        while let Some(frame) = alice.next_or_end().await {
            handed_over |= frame["payload"]["event"] == "handover";
            if frame["message_type"] == "OP_COMMIT" {
                acknowledged += 1;
                break;
            }
            assert_ne!(frame["message_type"], "PROTOCOL_ERROR", "{frame}");
        }
        if handed_over {
            break;
        }
    }
    assert!(acknowledged > 10, "{acknowledged}");
    let (code, said) = program.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is full") && said.contains("make room and start the server again"), "{said}");

    assert!(!disk.data().join("reserve").exists(), "it was used");
    // Room for the reserve and little more: whoever starts it over and over gets nowhere, and no epoch is spent.
    disk.grows_to("2700k");
    let data = disk.data();
    let again = run(&["--port=0", reserve, "--data-dir", data.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && said.contains("make room"), "{said}");
    disk.grows_to("8M");
    let program = Program::start(&disk.data(), &[reserve]);
    assert_eq!(disk.data().join("reserve").metadata().unwrap().len(), 524_288, "and is there again");
    let (mut back, info) = come_back(&program, &alice).await;
    assert_eq!(info["coordinator_epoch"], 2);
    let status = back.until("COORDINATOR_STATUS").await;
    assert_eq!(status["payload"]["event"], Value::from("assumed"), "it was handed over");
    for n in 0..acknowledged {
        assert_eq!(read(&mut back, &format!("{n}.txt")).await["content"], content.as_str(), "{n}");
    }
    program.kill();
    let (code, told) = verified(&disk.data());
    assert_eq!(code, Some(0), "{told}");
}
