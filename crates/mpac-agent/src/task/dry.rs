//! A dry run: the plan and the diffs, and nothing that others would notice.

use super::{Outcome, Worker};
use crate::brain::Plan;
use crate::console::Style;
use crate::error::AgentError;

impl Worker<'_> {
    /// Writes every file of the plan and shows it.
    pub(super) async fn show_only(&mut self, plan: &Plan) -> Result<Outcome, AgentError> {
        self.say(Style::Bold, "dry run: nothing is announced, and nothing will be committed");
        self.show_others(plan);
        let wanted = self.read_all(plan).await?;
        let drafts = self.draft(plan, wanted).await?.unwrap_or_default();
        let shown: Vec<String> = drafts.into_iter().map(|draft| draft.path).collect();
        Ok(if shown.is_empty() { Outcome::Unchanged } else { Outcome::Shown(shown) })
    }

    /// Those who would be in the way, as far as is known.
    fn show_others(&mut self, plan: &Plan) {
        let planned = |path: &String| plan.files.contains(path) || plan.new_files.contains(path);
        let mut lines = Vec::new();
        for (person, intents) in self.session.view().people() {
            let files = intents.iter().flat_map(|intent| &intent.files).filter(|path| planned(path));
            let files: Vec<&str> = files.map(String::as_str).collect();
            if !files.is_empty() {
                lines.push(format!("{person} works on {}; this would be a conflict", files.join(", ")));
            }
        }
        for line in lines {
            self.say(Style::Yellow, &line);
        }
    }
}
