//! The program as a process of its own, which can be killed.

use std::io::{BufRead, BufReader, Lines, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

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

    /// Its exit code and what it said last, once it has ended by itself.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).unwrap();
        }
        (self.child.wait().unwrap().code(), said)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
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

/// A standby and what it says. It never outlives this value.
pub(crate) struct Standby {
    program: Program,
    said: Lines<BufReader<ChildStderr>>,
    printed: Lines<BufReader<ChildStdout>>,
}

impl Standby {
    /// Follows the server at this address, whose data directory is given for its token.
    pub(crate) fn start(from: SocketAddr, token_of: &Path, data: &Path, flags: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["standby", "--port=0", "--from", &format!("ws://{from}"), "--data-dir"])
            .arg(data)
            .arg("--token-file")
            .arg(token_of.join("control-token"))
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        let printed = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { program: Program { child, address: from }, said, printed }
    }

    /// Waits for a line with this text.
    pub(crate) fn says(&mut self, text: &str) -> String {
        let mut before = Vec::new();
        while let Some(Ok(line)) = self.said.next() {
            if line.contains(text) {
                return line;
            }
            before.push(line);
        }
        panic!("it never said {text:?}, but: {before:#?}");
    }

    /// Waits until it serves.
    pub(crate) fn serves(mut self) -> Program {
        let url = self
            .printed
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("listening on ws://")?.1.trim().to_owned()));
        let Some(url) = url else { panic!("it never served: {:#?}", self.said.collect::<Vec<_>>()) };
        self.program.address = url.parse().unwrap();
        self.program
    }

    /// SIGTERM; gives the exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        self.program.stop()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // After kill or stop there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
