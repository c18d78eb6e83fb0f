//! `mpac-ws drive` as its callers use it: the real binary, a line in, a line out.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A running process, ended with the test.
pub(crate) struct Drive {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Drop for Drive {
    fn drop(&mut self) {
        // It may have ended already, which is all that is wanted here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The moment `second` seconds into a test's day.
pub(crate) fn at(second: f64) -> String {
    let micros = (second * 1e6).round() as i64;
    mpac_wire::Timestamp::from_micros(1_767_225_600_000_000 + micros).to_string()
}

/// An envelope of the session `s`, with an id made of who, what and when.
pub(crate) fn envelope(second: f64, who: &str, message_type: &str, payload: &Value) -> Value {
    json!({
        "protocol": "MPAC", "version": "0.1.13", "message_type": message_type,
        "message_id": format!("{who}-{message_type}-{second}"), "session_id": "s",
        "sender": {"principal_id": who, "principal_type": "agent", "sender_instance_id": format!("{who}-1")},
        "ts": at(second), "payload": payload,
    })
}

impl Drive {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mpac-ws"))
            .arg("drive")
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    /// With the session `s` open at second 0.
    pub(crate) fn open(config: Value) -> Self {
        let mut drive = Self::start(&[]);
        drive.reopen(config);
        drive
    }

    pub(crate) fn reopen(&mut self, mut config: Value) {
        config["session_id"] = json!("s");
        let answer = self.ask(0.0, "open", json!({"seed": 7, "config": config}));
        assert_eq!(answer, json!({"ok": true}));
    }

    /// The answer to a line of any bytes, as it was written.
    pub(crate) fn line(&mut self, line: &[u8]) -> String {
        self.stdin.as_mut().unwrap().write_all(&[line, b"\n"].concat()).unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        assert!(answer.ends_with('\n'), "no answer to {:?}", String::from_utf8_lossy(line));
        answer
    }

    /// The answer to a command at `second`.
    pub(crate) fn ask(&mut self, second: f64, cmd: &str, mut request: Value) -> Value {
        request["cmd"] = json!(cmd);
        request["now"] = json!(at(second));
        serde_json::from_str(&self.line(request.to_string().as_bytes())).unwrap()
    }

    /// The outputs of a command that is carried out.
    pub(crate) fn out(&mut self, second: f64, cmd: &str, request: Value) -> Vec<Value> {
        let answer = self.ask(second, cmd, request);
        assert_eq!(answer["ok"], true, "{answer}");
        answer["out"].as_array().unwrap().clone()
    }

    pub(crate) fn say(&mut self, second: f64, who: &str, message_type: &str, payload: Value) -> Vec<Value> {
        self.out(second, "message", json!({"envelope": envelope(second, who, message_type, &payload)}))
    }

    pub(crate) fn hello(&mut self, second: f64, who: &str) -> Vec<Value> {
        self.say(
            second,
            who,
            "HELLO",
            json!({"display_name": who, "roles": ["contributor"], "capabilities": []}),
        )
    }

    pub(crate) fn announce(&mut self, second: f64, who: &str, intent: &str, file: &str) -> Vec<Value> {
        let scope = json!({"kind": "file_set", "resources": [file]});
        let intent = json!({"intent_id": intent, "objective": "o", "scope": scope});
        self.say(second, who, "INTENT_ANNOUNCE", intent)
    }

    /// The code and the text of a failure.
    pub(crate) fn failure(&mut self, line: &[u8]) -> (String, String) {
        let answer: Value = serde_json::from_str(&self.line(line)).unwrap();
        assert_eq!(answer["ok"], false, "{answer}");
        assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
        let text = |key: &str| answer["error"][key].as_str().unwrap().to_owned();
        (text("code"), text("message"))
    }

    /// Ends stdin; gives the exit code and what was still written.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

/// Outputs in brief: to whom, which kind, and what.
pub(crate) fn brief(out: &[Value]) -> Vec<String> {
    let one = |it: &Value| {
        let to = match &it["to"] {
            Value::String(word) => word.clone(),
            list => {
                list.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect::<Vec<_>>().join("+")
            }
        };
        let kind = it["kind"].as_str().unwrap();
        let message =
            if kind == "sideband" { &it["message"]["type"] } else { &it["envelope"]["message_type"] };
        let code = it["envelope"]["payload"]["error_code"]
            .as_str()
            .map(|code| format!(" {code}"))
            .unwrap_or_default();
        format!("{to} {kind} {}{code}", message.as_str().unwrap())
    };
    out.iter().map(one).collect()
}
