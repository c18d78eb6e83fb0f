//! Who holds the files, when an announce is refused with STALE_INTENT.

use mpac_wire::payload::error::ProtocolError;
use mpac_wire::{IntentId, PrincipalId};
use serde::Deserialize;

/// An intent that was there first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Which intent.
    pub intent: IntentId,
    /// Whose.
    pub principal: PrincipalId,
}

/// The holders that a STALE_INTENT names: all of them in our coordinator's `extensions.mpac.holders`, else the first
/// in the description, where every coordinator names it (`spec/wire.md` §6.23). Empty when neither can be read.
#[must_use]
pub fn holders(error: &ProtocolError) -> Vec<Holder> {
    let listed = listed(error);
    if listed.is_empty() { described(&error.description).into_iter().collect() } else { listed }
}

fn listed(error: &ProtocolError) -> Vec<Holder> {
    #[derive(Deserialize)]
    struct Extensions {
        mpac: Ours,
    }
    #[derive(Deserialize)]
    struct Ours {
        holders: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        intent_id: IntentId,
        principal_id: PrincipalId,
    }
    let read = error.extensions.as_ref().and_then(|raw| raw.read::<Extensions>().ok());
    let listed = read.map(|extensions| extensions.mpac.holders).unwrap_or_default();
    listed.into_iter().map(|one| Holder { intent: one.intent_id, principal: one.principal_id }).collect()
}

/// `... intent <intent_id> (principal <principal_id>) ...`
fn described(text: &str) -> Option<Holder> {
    let (before, after) = text.split_once(" (principal ")?;
    let (_, intent) = before.rsplit_once("intent ")?;
    let (principal, _) = after.split_once(')')?;
    Some(Holder { intent: IntentId::new(intent).ok()?, principal: PrincipalId::new(principal).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<(String, String)> {
        let error: ProtocolError = serde_json::from_str(text).unwrap();
        holders(&error)
            .into_iter()
            .map(|holder| (holder.intent.to_string(), holder.principal.to_string()))
            .collect()
    }

    fn pair(intent: &str, principal: &str) -> (String, String) {
        (intent.to_owned(), principal.to_owned())
    }

    #[test]
    fn the_first_holder_stands_in_the_description() {
        let text = r#"{"error_code":"STALE_INTENT","description":"Files ['a.py'] are taken by intent intent-a-1 (principal agent:Alice). Wait."}"#;
        assert_eq!(named(text), [pair("intent-a-1", "agent:Alice")]);
    }

    #[test]
    fn our_coordinator_lists_them_all() {
        let text = r#"{"error_code":"STALE_INTENT","description":"intent i1 (principal A)","extensions":{"mpac":{"holders":[
            {"intent_id":"i1","principal_id":"A","resources":["a"]},{"intent_id":"i2","principal_id":"B","resources":["a"]}]}}}"#;
        assert_eq!(named(text), [pair("i1", "A"), pair("i2", "B")]);
    }

    #[test]
    fn an_unreadable_refusal_names_nobody() {
        for description in ["", "taken", "(principal A) intent i", "intent  (principal )"] {
            let text = format!(
                r#"{{"error_code":"STALE_INTENT","description":"{description}","extensions":{{"x":1}}}}"#
            );
            assert_eq!(named(&text), [], "{description}");
        }
    }
}
