//! `pgvigil export`: prints or writes the files shipped inside the binary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::cli::links::Links;
use crate::cli::run::{print, usage};
use crate::collector::catalogue;
use crate::collector::load::CollectorKeys;
use crate::schema::{files, json, words};
use crate::settings::load::SettingsKeys;
use crate::settings::web::WebSettings;
use crate::shipped::{alert_rules, dashboards};

/// The name of the program in a shell.
const NAME: &str = "pgvigil";

/// The SQL of the monitoring role.
const GRANTS: &str = include_str!("grants.sql");

/// The SQL of the probe's role.
const PROBE_GRANTS: &str = include_str!("grants_probe.sql");

/// An example for Alertmanager, which is not a rule file.
const ALERTMANAGER: &str = include_str!("../../rules/alertmanager.yaml");

#[derive(Subcommand)]
pub enum Export {
    /// The shipped collector files: written into a folder, or one of them printed
    Collectors(ExportArguments),
    /// The alert rules: written into a folder, or one file of them printed
    Rules {
        #[command(flatten)]
        files: ExportArguments,
        /// The form: rule files of Prometheus, or PrometheusRule resources for its operator
        #[arg(long, value_enum, default_value_t)]
        format: RuleFormat,
        #[command(flatten)]
        links: Links,
    },
    /// An example configuration for Alertmanager: who is notified of what, and which alerts mute others
    Alertmanager,
    /// The Grafana dashboards: written into a folder, or one of them printed
    Dashboards(ExportArguments),
    /// A JSON Schema, with which editors complete, explain and check your files
    Schema {
        /// The kind of file
        of: FileKind,
    },
    /// Completions for a shell: bash, zsh, fish and others
    Completions {
        /// The shell
        shell: Shell,
    },
    /// The manual: pgvigil(1), or with --dir a page for each command too
    Man {
        /// Write all pages into this folder
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// The SQL that creates a role with only the rights that pgvigil needs; its head says how to run it
    Grants {
        /// Print the SQL of the probe's role too
        #[arg(long)]
        probe: bool,
    },
}

/// A kind of file that people write.
#[derive(Clone, Copy, ValueEnum)]
pub enum FileKind {
    Collector,
    Settings,
    Web,
}

impl FileKind {
    /// Its JSON Schema, for editors.
    pub fn json_schema(self) -> String {
        match self {
            FileKind::Collector => json::document::<CollectorKeys>("A collector of pgvigil"),
            FileKind::Settings => json::document::<SettingsKeys>("The settings of pgvigil"),
            FileKind::Web => json::document::<WebSettings>("The web configuration of pgvigil"),
        }
    }
}

#[derive(Args)]
pub struct ExportArguments {
    /// Write all files into this folder
    #[arg(long, value_name = "DIR", required_unless_present = "name", conflicts_with = "name")]
    dir: Option<PathBuf>,
    /// Print this file, without the ending of its name
    name: Option<String>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum RuleFormat {
    #[default]
    Prometheus,
    Operator,
}

/// The name of a file and its text.
type File = (String, String);

/// Exports; `program` is the whole command line, for its manual and completions.
pub fn run(what: Export, program: clap::Command) -> anyhow::Result<()> {
    match what {
        Export::Grants { probe: false } => print(GRANTS),
        Export::Grants { probe: true } => print(&format!("{GRANTS}\n{PROBE_GRANTS}")),
        Export::Alertmanager => print(ALERTMANAGER),
        Export::Completions { shell } => completions(shell, program),
        Export::Man { dir } => manual(program, dir),
        Export::Schema { of } => print(&of.json_schema()),
        Export::Collectors(files) => {
            let collectors = catalogue::shipped().map(|(name, text)| (name.to_owned(), text.to_owned()));
            files.export("collector", collectors.collect())
        }
        Export::Dashboards(files) => files.export("dashboard", dashboards::files()?),
        Export::Rules { files, format, links } => files.export("rule", rule_files(format, &links)),
    }
}

impl ExportArguments {
    fn export(&self, kind: &str, shipped: Vec<File>) -> anyhow::Result<()> {
        if let Some(dir) = &self.dir {
            return write(dir, &shipped);
        }
        let wanted = self.name.as_deref().unwrap_or_default();
        if let Some((_, text)) = shipped.iter().find(|(name, _)| files::stem(name.as_ref()) == wanted) {
            return print(text);
        }
        let names: Vec<_> = shipped.iter().map(|(name, _)| files::stem(name.as_ref())).collect();
        let unknown =
            words::unknown(&format!("no shipped {kind} file"), wanted, "there are", names.iter().map(String::as_str));
        Err(usage(format!("{unknown}\nTo write all of them into a folder: `--dir {wanted}`")).into())
    }
}

fn completions(shell: Shell, mut program: clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, NAME, &mut script);
    print(&script)
}

/// Prints the program's page, or writes that of each command too: `pgvigil.1`, `pgvigil-check.1`.
fn manual(program: clap::Command, dir: Option<PathBuf>) -> anyhow::Result<()> {
    if let Some(dir) = dir {
        let written = fs::create_dir_all(&dir).and_then(|()| clap_mangen::generate_to(program, &dir));
        return written.with_context(|| dir.display().to_string());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(program.disable_help_subcommand(true)).render(&mut page)?;
    print(&page)
}

fn write(dir: &Path, files: &[File]) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    for (name, text) in files {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn rule_files(format: RuleFormat, links: &Links) -> Vec<File> {
    let mut files = Vec::new();
    for (name, text) in alert_rules::files() {
        let text = links.complete(text);
        let text = match format {
            RuleFormat::Prometheus => text,
            RuleFormat::Operator => prometheus_rule(name.trim_end_matches(".yaml"), &text),
        };
        files.push((name.to_owned(), text));
    }
    files
}

/// The operator's resource for this rule file.
fn prometheus_rule(name: &str, text: &str) -> String {
    let mut resource = format!(
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: pgvigil-{name}\n  labels:\n    \
         app.kubernetes.io/name: pgvigil\nspec:\n"
    );
    for line in text.lines() {
        resource.push_str(if line.is_empty() { "" } else { "  " });
        resource.push_str(line);
        resource.push('\n');
    }
    resource
}
