//! Whether a message was accepted, by what came of it.

use mpac_core::{Notice, Output};
use mpac_wire::MessageType;

/// Whether a message of type `asked` was passed on, or did what it says: nobody is told that it is refused.
pub(super) fn accepted(asked: Option<&MessageType>, outputs: &[Output]) -> bool {
    let passed_on = outputs.iter().any(|output| match output {
        Output::Relay { message_type, .. } => Some(message_type) == asked,
        Output::Notice(Notice::FileUpdated { .. }) => true,
        _ => false,
    });
    match asked {
        // They count only once they are passed on; until then somebody may have to authorise them.
        Some(MessageType::OpCommit | MessageType::OpBatchCommit | MessageType::OpSupersede) => passed_on,
        _ => passed_on || !outputs.iter().any(is_refusal),
    }
}

fn is_refusal(output: &Output) -> bool {
    matches!(output, Output::Send { envelope, .. } if envelope.message_type == MessageType::ProtocolError)
}
