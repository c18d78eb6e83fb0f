//! The fourteen messages that the Python and the TypeScript reference exchange with each other.

use std::path::Path;

use mpac_wire::{Limits, Message, Received, layout};

use crate::covers;

#[test]
fn golden_messages_survive_the_types_byte_for_byte() {
    covers!("ENV-01", "ENV-15", "ENV-18");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let pretty = std::fs::read_to_string(&path).unwrap();
        let received = Received::parse(&*pretty, &Limits::default()).unwrap();
        let message = received.envelope().message().unwrap();
        assert!(!matches!(message, Message::Unknown { .. }), "not one of the 22 types");
        let mut envelope = received.envelope().clone();
        envelope.payload = message.to_payload();
        assert_eq!(envelope.to_json_pretty(), pretty, "{}", path.display());
        assert_eq!(envelope.to_json(), layout::compact(&pretty), "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 14);
}
