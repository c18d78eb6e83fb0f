//! What a step said, as one number: a log keeps it, and a replay that says the same has the same one.

use alloc::string::{String, ToString};

use mpac_wire::sideband::Request;
use sha2::{Digest, Sha256};

use crate::output::{Notice, Output, Recipients, Step};

impl Step {
    /// SHA-256, in hexadecimal, over every output in its order: who receives, and the text. Not over
    /// [`next_deadline`](Self::next_deadline), which nobody outside sees.
    pub fn digest(&self) -> String {
        let mut hash = Hash(Sha256::new());
        self.outputs.iter().for_each(|output| hash.output(output));
        let digest = hash.0.finalize();
        let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    }
}

struct Hash(Sha256);

impl Hash {
    /// With its length in front, so that no two lists of texts run together to the same bytes.
    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn to(&mut self, to: &Recipients) {
        match to {
            Recipients::All => self.text("all"),
            Recipients::Conn(conn) => {
                self.text("conn");
                self.number(conn.0);
            }
            Recipients::Only(principals) => {
                self.text("only");
                self.number(principals.len() as u64);
                principals.iter().for_each(|principal| self.text(principal.as_str()));
            }
        }
    }

    fn output(&mut self, output: &Output) {
        match output {
            // Type and sender are in the text.
            Output::Relay { to, text, message_type: _, sender: _ } => {
                self.text("relay");
                self.to(to);
                self.text(text);
            }
            Output::Send { to, envelope } => {
                self.text("send");
                self.to(to);
                self.text(&envelope.to_json());
            }
            Output::Workspace { conn, request } => {
                self.text("workspace");
                self.number(conn.0);
                let path = match request {
                    Request::FileRead { path } => path.as_deref(),
                    _ => None,
                };
                self.text(match request {
                    Request::FileRead { .. } => "read",
                    Request::SessionSummary => "summary",
                    _ => "list",
                });
                self.text(path.unwrap_or_default());
            }
            Output::Answer { conn, text } => {
                self.text("answer");
                self.number(conn.0);
                self.text(text);
            }
            Output::HangUp { conn, reason } => {
                self.text("hang up");
                self.number(conn.0);
                self.number(reason.code().into());
                self.text(reason.text());
            }
            Output::Notice(notice) => self.notice(notice),
        }
    }

    fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Opened => self.text("opened"),
            Notice::Bound { conn, principal } => {
                self.text("bound");
                self.number(conn.0);
                self.text(principal.as_str());
            }
            Notice::Unbound { conn } => {
                self.text("unbound");
                self.number(conn.0);
            }
            Notice::FileUpdated { to, path, content, state_ref, updated_by } => {
                self.text("file");
                if *to != Recipients::All {
                    self.to(to);
                }
                [path.as_str(), content, state_ref.as_str(), updated_by.as_str()]
                    .into_iter()
                    .for_each(|it| self.text(it));
            }
            Notice::Remark(remark) => {
                self.text("remark");
                self.text(&remark.to_string());
            }
            Notice::CoordinatorConflict { reported_by } => {
                self.text("conflict");
                self.text(reported_by.as_str());
            }
            Notice::CoordinatorKey { key } => {
                self.text("key");
                self.text(&key.to_string());
            }
            Notice::Closed { reason } => {
                self.text("closed");
                self.text(reason.as_str());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use mpac_wire::names::CloseReason;
    use mpac_wire::{MessageType, PrincipalId};

    use super::*;
    use crate::input::ConnId;
    use crate::output::HangUpReason;

    fn digest(outputs: Vec<Output>) -> String {
        Step { outputs, next_deadline: None, received: None }.digest()
    }

    fn relay(to: Recipients, text: &str) -> Output {
        let sender = PrincipalId::new("a").unwrap();
        Output::Relay { to, text: text.into(), message_type: MessageType::Heartbeat, sender }
    }

    #[test]
    fn who_hears_what_and_in_which_order_is_in_it() {
        let only =
            |ids: &[&str]| Recipients::Only(ids.iter().map(|id| PrincipalId::new(id).unwrap()).collect());
        let conn = ConnId(1);
        let steps = [
            vec![],
            vec![relay(Recipients::All, "ab")],
            vec![relay(Recipients::All, "a"), relay(Recipients::All, "b")],
            vec![relay(Recipients::All, "b"), relay(Recipients::All, "a")],
            vec![relay(Recipients::Conn(conn), "ab")],
            vec![relay(only(&["a"]), "ab")],
            vec![relay(only(&["a", "b"]), "ab")],
            vec![relay(only(&["ab"]), "ab")],
            vec![Output::Answer { conn, text: "ab".into() }],
            vec![Output::Workspace { conn, request: Request::FileList }],
            vec![Output::Workspace { conn, request: Request::FileRead { path: None } }],
            vec![Output::Workspace { conn, request: Request::FileRead { path: Some("a".into()) } }],
            vec![Output::HangUp { conn, reason: HangUpReason::Replaced }],
            vec![Output::HangUp { conn, reason: HangUpReason::HandedOver }],
            vec![Output::HangUp { conn, reason: HangUpReason::Fenced }],
            vec![Output::Notice(Notice::Opened)],
            vec![Output::Notice(Notice::Unbound { conn })],
            vec![Output::Notice(Notice::Closed { reason: CloseReason::Manual })],
        ];
        let digests: alloc::collections::BTreeSet<String> = steps.iter().cloned().map(digest).collect();
        assert_eq!(digests.len(), steps.len(), "no two alike");
        assert!(digests.iter().all(|digest| digest.len() == 64));
        assert_eq!(digest(steps[2].clone()), digest(steps[2].clone()));
    }
}
