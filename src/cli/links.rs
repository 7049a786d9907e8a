//! Completes the links in exported alerts: `pgvigil export rules --dashboard-url URL --runbook-url URL`.

use clap::Args;

use crate::source::net::http_client::HttpAddress;

/// The address of the runbooks in the shipped rules.
const RUNBOOKS: &str = "https://github.com/pgvigil/pgvigil/blob/main/docs/runbooks/";

#[derive(Args)]
pub struct Links {
    /// The address of your Grafana, such as `https://grafana.example.com`: put in front of the links to dashboards
    #[arg(long, value_name = "URL", value_parser = address)]
    dashboard_url: Option<String>,
    /// The address of the runbooks, instead of pgvigil's own: put in front of `ALERT.md`
    #[arg(long, value_name = "URL", value_parser = address)]
    runbook_url: Option<String>,
}

impl Links {
    /// Returns a rule file with these addresses in its links.
    pub fn complete(&self, rules: &str) -> String {
        let mut text = rules.to_owned();
        if let Some(address) = &self.dashboard_url {
            // A link may be in quotes.
            for before in ["dashboard_url: ", "dashboard_url: \""] {
                text = text.replace(&format!("{before}/"), &format!("{before}{address}/"));
            }
        }
        if let Some(address) = &self.runbook_url {
            text = text.replace(RUNBOOKS, &format!("{address}/"));
        }
        text
    }
}

/// An address to which a path can be added, without trailing slashes. It must be plain enough for YAML and Prometheus'
/// templates.
fn address(url: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_graphic() && !"\"'`\\{}<>|^?#".contains(c);
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    if is_web && url.chars().all(is_plain) && HttpAddress::parse(url).is_some() {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    Err("it must be like https://grafana.example.com or https://example.com/grafana: no user, no `?`, no `#`"
        .to_owned())
}
