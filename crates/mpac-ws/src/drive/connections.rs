//! The caller's names for connections, the core's numbers for them, and who speaks on each.

use std::collections::BTreeMap;

use mpac_core::ConnId;
use mpac_wire::{PrincipalId, Sender};
use serde_json::value::RawValue;

/// What the core is told of connections, and what it has told.
#[derive(Debug, Default)]
pub(super) struct Connections {
    numbers: BTreeMap<String, ConnId>,
    names: BTreeMap<ConnId, String>,
    /// Who is bound, from the core's notices.
    bound: BTreeMap<ConnId, PrincipalId>,
    used: u64,
}

impl Connections {
    /// The number of the connection called `name`; it begins when it is first named.
    pub(super) fn number(&mut self, name: &str) -> ConnId {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        self.used += 1;
        let conn = ConnId(self.used);
        self.numbers.insert(name.to_owned(), conn);
        self.names.insert(conn, name.to_owned());
        conn
    }

    /// Forgets a connection. One of the same name that comes later is another.
    pub(super) fn end(&mut self, name: &str) -> Option<ConnId> {
        let conn = self.numbers.remove(name)?;
        self.names.remove(&conn);
        Some(conn)
    }

    pub(super) fn name(&self, conn: ConnId) -> &str {
        self.names.get(&conn).map_or("", String::as_str)
    }

    pub(super) fn bind(&mut self, conn: ConnId, principal: PrincipalId) {
        self.bound.insert(conn, principal);
    }

    pub(super) fn unbind(&mut self, conn: ConnId) {
        self.bound.remove(&conn);
    }

    /// Who speaks on it.
    pub(super) fn principal(&self, conn: ConnId) -> Option<&PrincipalId> {
        self.bound.get(&conn)
    }
}

/// Whom a frame names as its sender, as far as it can be read.
#[derive(Debug)]
pub(super) enum Claimed {
    /// All there is to a sender.
    Sender(Box<Sender>),
    /// A principal, in something that is no sender.
    Principal(String),
    /// Nobody.
    Nobody,
}

impl Claimed {
    pub(super) fn of(frame: &str) -> Self {
        let Some(sender) = member(frame, "sender") else { return Self::Nobody };
        if let Ok(whole) = serde_json::from_str::<Sender>(sender.get()) {
            return Self::Sender(Box::new(whole));
        }
        match member(sender.get(), "principal_id").map(|id| serde_json::from_str(id.get())) {
            Some(Ok(principal)) => Self::Principal(principal),
            _ => Self::Nobody,
        }
    }

    /// The name of the connection that a frame comes on when the caller names none: its sender's.
    pub(super) fn connection(&self) -> &str {
        match self {
            Self::Sender(sender) => sender.principal_id.as_str(),
            Self::Principal(principal) => principal,
            Self::Nobody => "",
        }
    }
}

/// The last member called `key` of an object, unread.
fn member<'a>(object: &'a str, key: &str) -> Option<&'a RawValue> {
    serde_json::from_str::<BTreeMap<String, &RawValue>>(object).ok()?.remove(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_until_the_connection_ends() {
        let mut connections = Connections::default();
        let (a, b) = (connections.number("a"), connections.number("b"));
        assert!(a != b && connections.number("a") == a);
        assert_eq!(connections.name(b), "b");
        assert_eq!(connections.end("a"), Some(a));
        assert_eq!(connections.end("a"), None);
        let again = connections.number("a");
        assert!(again != a && again != b, "numbers are not used again");
    }

    #[test]
    fn a_frame_comes_on_the_connection_of_its_sender() {
        let whole = r#"{"sender":{"principal_id":"p","principal_type":"agent","sender_instance_id":"i"}}"#;
        assert!(matches!(Claimed::of(whole), Claimed::Sender(_)));
        for (frame, expected) in [
            (whole, "p"),
            (r#"{"sender":7,"sender":{"principal_id":"q"}}"#, "q"),
            (r#"{"sender":{"principal_id":7}}"#, ""),
            (r#"{"type":"FILE_LIST"}"#, ""),
            ("[1]", ""),
            ("{bad", ""),
        ] {
            assert_eq!(Claimed::of(frame).connection(), expected, "{frame}");
        }
    }
}
