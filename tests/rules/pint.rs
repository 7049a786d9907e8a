//! pint, which knows how rules go wrong, has nothing to say of ours but what `.pint.hcl` explains.

use std::{fs, process::Command, time::Duration};

use super::{files, systems::System};
use crate::support::{Folder, Prometheus, eventually, majors, place::pint_program};

const FILE: &str = ".pint.hcl";

#[test]
#[ignore = "needs pint: make test-all"]
fn pint_has_nothing_to_say() {
    lint(&["--offline", "--config", FILE]);
}

/// What matches what, which are counters, which ranges are too short: by the series of a system that works. Which of them are there at
/// all is what `pages.rs` asks.
#[test]
#[ignore = "needs pint: make test-all"]
fn pint_has_nothing_to_say_of_live_series() {
    let system = System::working(*majors().last().expect("at least one version"));
    let job = "job_name: pgvigil, scrape_interval: 2s, scrape_timeout: 2s";
    let prometheus = Prometheus::start(&format!(
        "  - {{{job}, static_configs: [{{targets: [\"{}\"]}}]}}\n",
        system.pgvigil.address()
    ));
    let scrapes = || prometheus.value("max(count_over_time(pg_up[1m]))").unwrap_or_default();
    eventually(Duration::from_secs(60), "ten scrapes", || scrapes() >= 10.0);
    let folder = Folder::new("pint", "TERM");
    let known = fs::read_to_string(FILE).expect("the configuration");
    let server =
        format!("prometheus \"live\" {{\n  uri = \"http://{}\"\n  required = true\n}}\n", prometheus.address());
    let config = folder.write("pint.hcl", &(known + &server));
    lint(&["--disabled", "promql/series", "--config", &config.display().to_string()]);
}

fn lint(flags: &[&str]) {
    let mut pint = Command::new(pint_program());
    let output =
        pint.arg("--no-color").args(flags).args(["lint", "--min-severity=info", "--fail-on=info", "rules"]).output();
    let output = output.expect("running pint");
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let all = files::rules().len();
    assert!(said.contains(&format!("entries={all} ")), "of {all} rules it read others:\n{said}");
}
