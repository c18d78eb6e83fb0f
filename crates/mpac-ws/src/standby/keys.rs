//! Whether a standby has the keys that its sessions are signed with: their server may have rotated them.

use std::sync::Arc;

use tracing::{error, info};

use super::following::Following;
use crate::follow::copy::Copy;
use crate::session::Template;

impl Following {
    /// Says so, once, when a key is not here; whoever copies it here is heard.
    pub(super) async fn lacks_keys(&mut self) {
        let template = Arc::clone(&self.template);
        let Ok(lacking) = self.held.with(move |copy| Ok(lacking(copy, &template))).await else { return };
        if !lacking.is_empty() && lacking != self.said.keys {
            lacking.iter().for_each(|reason| error!("{reason}"));
        }
        if lacking.is_empty() && !self.said.keys.is_empty() {
            info!("the keys of all sessions are here");
        }
        self.said.keys = lacking;
    }
}

fn lacking(copy: &Copy, template: &Template) -> Vec<String> {
    let reasons = || -> Vec<String> {
        let sessions = copy.replicas().filter(|it| !it.is_closed()).filter_map(|it| it.replay().session());
        let lacking = sessions.filter_map(|(core, kept)| {
            let reason = template.can_sign(core).err()?;
            Some(format!("session {} could not go on: {reason}", kept.config.session_id))
        });
        lacking.collect()
    };
    let before = reasons();
    match template.ring() {
        Some(ring) if !before.is_empty() => {
            ring.reload();
            reasons()
        }
        _ => before,
    }
}
