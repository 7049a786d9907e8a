//! What runbooks say: why somebody is woken; and that all they tell people to run does run.

mod expressions;
mod fixtures;
mod place;
mod run;
mod servers;
mod text;
mod wrong;

use std::fs;

/// What a severity means to people.
pub const WORDS: [(&str, &str); 4] =
    [("critical", "Page"), ("warning", "Ticket"), ("info", "Info"), ("none", "Heartbeat")];

/// The reasons that a runbook gives, by severity: lines such as `- **Page**: clients cannot connect; start the server or fail over`.
pub fn reasons(alert: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(format!("docs/runbooks/{alert}.md")).unwrap_or_default();
    let reason = |line: &str| {
        let (severity, rest) = WORDS
            .iter()
            .find_map(|(severity, word)| Some((severity, line.strip_prefix(&format!("- **{word}**: "))?)))?;
        Some(((*severity).to_owned(), rest.trim().to_owned()))
    };
    text.lines().filter_map(reason).filter(|(_, reason)| !reason.is_empty()).collect()
}
