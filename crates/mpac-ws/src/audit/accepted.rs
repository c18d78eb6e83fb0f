//! Whether a message was accepted, by what came of it.

use mpac_core::{Notice, Output, Recipients};
use mpac_wire::MessageType;

/// Messages that commit their sender to something.
pub(super) const fn binds(message_type: &MessageType) -> bool {
    matches!(
        message_type,
        MessageType::OpCommit
            | MessageType::OpBatchCommit
            | MessageType::OpSupersede
            | MessageType::ConflictAck
            | MessageType::Resolution
    )
}

/// Whether a message of type `asked` was passed on, or did what it says: nobody is told that it is refused. Where the session was
/// `handed_over` before it came, it did nothing.
pub(super) fn accepted(asked: Option<&MessageType>, handed_over: bool, outputs: &[Output]) -> bool {
    match asked {
        // Their sender hears them, too (D-132). A commit that is only asked for is shown to its reviewers alone.
        Some(asked) if binds(asked) => outputs.iter().any(is_echo),
        _ => counts(asked, handed_over, outputs),
    }
}

/// Whether a message of type `asked` changed something, as far as one can see: also a commit that is only asked for does.
pub(super) fn counts(asked: Option<&MessageType>, handed_over: bool, outputs: &[Output]) -> bool {
    outputs.iter().any(|it| is_passed_on(it, asked)) || !handed_over && !outputs.iter().any(is_refusal)
}

fn is_echo(output: &Output) -> bool {
    match output {
        Output::Relay { to: Recipients::All, .. } => true,
        Output::Relay { to: Recipients::Only(principals), sender, .. } => principals.contains(sender),
        _ => false,
    }
}

fn is_passed_on(output: &Output, asked: Option<&MessageType>) -> bool {
    match output {
        Output::Relay { message_type, .. } => Some(message_type) == asked,
        Output::Notice(Notice::FileUpdated { .. }) => true,
        _ => false,
    }
}

fn is_refusal(output: &Output) -> bool {
    matches!(output, Output::Send { envelope, .. } if envelope.message_type == MessageType::ProtocolError)
}
