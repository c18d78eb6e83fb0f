//! A file that somebody else commits to when the brain has only just been asked for its new text.
//!
//! An answer that is on its way is waited for: the two changes may not touch, and then they are merged without the brain
//! (`moved`). One of which nothing has come costs less to call off: the brain is asked again, on top of what is there now. That
//! is what happens to whoever decided to go on beside somebody who was at the end of its work.

use std::time::Duration;

use super::Desk;
use crate::console::Style;
use crate::error::AgentError;

/// Who says nothing while it writes may have come far after a longer time.
const YOUNG: Duration = Duration::from_secs(5);

impl Desk<'_> {
    /// The files whose question can be called off: nothing has come of the answer, and not for long. As often as a file is
    /// redone, so that somebody who commits all the time does not hold it up.
    pub(super) fn young(&self) -> Vec<String> {
        let young = self.files.iter().filter(|file| {
            let fresh = file.asked.as_ref().is_some_and(|asked| asked.since.elapsed() < YOUNG);
            fresh && file.voice.is_silent() && file.overtaken < self.options.max_rebase
        });
        young.map(|file| file.wanted.path.clone()).collect()
    }

    /// Calls off the young questions about files that have moved, each to be asked again on top of what is there now. One that was only said to have moved, and did not, goes on.
    pub(super) async fn call_off(&mut self) -> Result<(), AgentError> {
        let mut moved = self.young();
        moved.retain(|path| self.session.has_moved(path));
        let now = match self.session.read_files_now(&moved).await {
            // There is another look when the coordinator is back.
            Err(AgentError::Away { .. }) => return Ok(()),
            read => read?,
        };
        for (path, now) in moved.into_iter().zip(now) {
            let Some(at) = self.files.iter().position(|file| file.wanted.path == path) else { continue };
            let file = &mut self.files[at];
            if file.wanted.base.state_ref == now.state_ref {
                continue;
            }
            if let Some(asked) = file.asked.take() {
                // Nobody looks at the answers meanwhile, so whoever writes is there to hear it.
                let _ = asked.off.send(());
            }
            file.overtaken += 1;
            if at == self.front && self.headed {
                let text =
                    format!("stale: {path} is at {} by now; asking again on top of that", now.state_ref);
                self.session.say(Style::Yellow, &text);
                self.headed = false;
            }
            file.wanted.base = now;
        }
        Ok(())
    }
}
