//! The program as a process of its own, which can be killed.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::rig::{Client, patiently};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpac-ws");

/// A running server. It never outlives this value.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// `mpac-ws` with these arguments, to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

impl Program {
    /// Starts a server that keeps its sessions in `data`, and waits until it listens.
    pub(crate) fn start(data: &Path, flags: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--port=0", "--data-dir"])
            .arg(data)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let url = stdout.lines().map_while(Result::ok).find_map(|line| {
            let url = line.split_once("ws://")?.1.split([' ', '/']).next()?.to_owned();
            Some(url)
        });
        let Some(url) = url else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            child.wait().unwrap();
            panic!("it did not start: {said}");
        };
        Self { child, address: url.parse().unwrap() }
    }

    /// SIGKILL: nothing more is written, said or closed.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; gives the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }

    /// Waits until it ends by itself; gives the exit code and what it said on stderr.
    #[cfg(target_os = "linux")]
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }

    /// A connection to `path` on which nobody has said HELLO.
    pub(crate) async fn connect(&self, path: &str) -> Client {
        patiently(Client::connect(self.address, path, None)).await
    }

    /// `who`, admitted to the default session, and what it was told: SESSION_INFO.
    pub(crate) async fn join(&self, who: &str) -> (Client, serde_json::Value) {
        let mut client = self.connect("/").await;
        let info = client.hello(who).await;
        assert_eq!(info["message_type"], "SESSION_INFO");
        (client, info)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // After kill or stop there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
