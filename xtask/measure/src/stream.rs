//! One stream of messages: envelopes with ids, a clock and a watermark that grow line by line.

use std::io::{self, Write};

use mpac_wire::Timestamp;

use crate::random::Random;

/// The session of every stream.
pub(crate) const SESSION: &str = "bench-session";
/// 2026-01-01, in microseconds.
const EPOCH: i64 = 1_767_225_600_000_000;

/// A stream that is being written, one envelope a line.
pub(crate) struct Stream<W> {
    pub(crate) random: Random,
    out: W,
    lines: u64,
}

impl<W: Write> Stream<W> {
    pub(crate) fn new(out: W, seed: u32) -> Self {
        Self { random: Random::new(seed), out, lines: 0 }
    }

    /// How many lines there are, and where they went.
    pub(crate) fn end(self) -> (u64, W) {
        (self.lines, self.out)
    }

    pub(crate) fn state_ref(&mut self) -> String {
        format!("sha256:{:016x}", self.random.bits64())
    }

    pub(crate) fn hello(&mut self, who: u32) -> io::Result<()> {
        let payload = format!(
            r#"{{"display_name":"a{who:04}","roles":["contributor"],"capabilities":["intent.broadcast","op.commit","intent.withdraw"]}}"#
        );
        self.emit("HELLO", who, &payload)
    }

    pub(crate) fn announce(&mut self, who: u32, intent: &str, files: &[String]) -> io::Result<()> {
        let payload = format!(
            r#"{{"intent_id":"{intent}","objective":"Change {} files for {intent}","scope":{{"kind":"file_set","resources":["{}"]}}}}"#,
            files.len(),
            files.join("\",\"")
        );
        self.emit("INTENT_ANNOUNCE", who, &payload)
    }

    pub(crate) fn withdraw(&mut self, who: u32, intent: &str) -> io::Result<()> {
        let payload = format!(r#"{{"intent_id":"{intent}","reason":"task_completed"}}"#);
        self.emit("INTENT_WITHDRAW", who, &payload)
    }

    /// The file `target` goes from one state to another.
    pub(crate) fn commit(
        &mut self,
        who: u32,
        op: &str,
        intent: &str,
        target: &str,
        [before, after]: [&str; 2],
    ) -> io::Result<()> {
        let payload = format!(
            r#"{{"op_id":"{op}","intent_id":"{intent}","target":"{target}","op_kind":"replace","state_ref_before":"{before}","state_ref_after":"{after}"}}"#
        );
        self.emit("OP_COMMIT", who, &payload)
    }

    pub(crate) fn heartbeat(&mut self, who: u32, intent: &str) -> io::Result<()> {
        self.emit("HEARTBEAT", who, &format!(r#"{{"status":"working","active_intent_id":"{intent}"}}"#))
    }

    fn emit(&mut self, kind: &str, who: u32, payload: &str) -> io::Result<()> {
        self.lines += 1;
        let n = self.lines;
        let id = uuid_like(self.random.bits128());
        let moment = Timestamp::from_micros(EPOCH + n.cast_signed() * 1000).to_string();
        let ts = &moment[.."2026-01-01T00:00:00.000".len()];
        writeln!(
            self.out,
            r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"{kind}","message_id":"{id}","session_id":"{SESSION}","sender":{{"principal_id":"agent:a{who:04}","principal_type":"agent","sender_instance_id":"agent:a{who:04}:1"}},"ts":"{ts}Z","payload":{payload},"watermark":{{"kind":"lamport_clock","value":{n}}}}}"#
        )
    }
}

/// The digits of a number, with those of version and variant put in.
fn uuid_like(bits: u128) -> String {
    let hex = format!("{bits:032x}");
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// The file of this number.
pub(crate) fn file(number: u32) -> String {
    format!("src/module_{:03}/file_{number:05}.rs", number / 40)
}
