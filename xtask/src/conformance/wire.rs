//! What can be said of one frame alone, whatever the story.

use serde_json::Value;

/// Watches the frames of one story.
pub(super) struct Wire;

impl Wire {
    pub(super) fn new(_protocol: &str) -> Self {
        Self
    }

    pub(super) fn sees(&mut self, _conn: &str, _text: &str, _value: &Value) {}
}
