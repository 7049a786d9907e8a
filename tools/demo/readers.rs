//! Who reads pgvigil's page in the demo: a Prometheus with the shipped rules and an Alertmanager, where they are installed, set up
//! as in compose.yaml; and a folder from which a Grafana of yours takes the dashboards.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use pgvigil::shipped::dashboards as shipped;
use serde_json::Value;

use crate::support::{Folder, eventually, http, place::find_program, process::Process};

const PROMETHEUS: &str = include_str!("../../deploy/compose/prometheus/prometheus.yml");
const ALERTMANAGER: &str = include_str!("../../deploy/compose/alertmanager/alertmanager.yml");
const DATASOURCES: &str = include_str!("../../deploy/compose/grafana/datasources.yaml");
const PROVIDERS: &str = include_str!("../../deploy/compose/grafana/dashboards.yaml");

/// A graph of the clients that wait for a connection of the pooler.
const WAITING: &str = "g0.expr=pgbouncer_pools_client_waiting_connections&g0.tab=0&g0.range_input=15m";

/// The programs, until they are dropped.
pub struct Readers {
    folder: Folder,
    prometheus: Option<SocketAddr>,
    alertmanager: Option<SocketAddr>,
    _running: Vec<Process>,
}

impl Readers {
    /// Starts what is installed. `free`: an address for a program, or another where it is taken.
    pub fn start(pgvigil: SocketAddr, free: impl Fn(&str, SocketAddr) -> SocketAddr) -> Readers {
        let folder = Folder::new("readers", "TERM");
        let at = |program, port| free(program, SocketAddr::new(pgvigil.ip(), port));
        let mut running = Vec::new();
        let alertmanager = find_program(&["alertmanager", "prometheus-alertmanager"]).map(|program| {
            let address = at("Alertmanager", 9093);
            running.push(alertmanager(&folder, &program, address));
            address
        });
        let prometheus = find_program(&["prometheus"]).map(|program| {
            let address = at("Prometheus", 9090);
            running.push(prometheus(&folder, &program, address, pgvigil, alertmanager));
            address
        });
        for address in prometheus.iter().chain(&alertmanager) {
            eventually(Duration::from_secs(20), "those who read are ready", || answers(*address, "/-/ready"));
        }
        prometheus.iter().for_each(|address| provision(&folder, *address));
        Readers { folder, prometheus, alertmanager, _running: running }
    }

    /// What there is to look at, and what it shows. Not every build has all pages: Debian's Prometheus has the older ones
    /// alone, its Alertmanager none.
    pub fn steps(&self) -> Vec<(String, &'static str)> {
        let Some(prometheus) = self.prometheus else {
            return vec![("apt install prometheus".to_owned(), "it is not installed: no alerts, no graphs")];
        };
        let page =
            |pages: [&'static str; 3]| pages.into_iter().find(|page| answers(prometheus, page)).unwrap_or_default();
        let graph = page(["/graph", "/classic/graph", "/query"]);
        let alerts = page(["/alerts", "/classic/alerts", "/api/v1/alerts"]);
        let mut steps = vec![
            (
                format!("http://{prometheus}{graph}?{WAITING}"),
                "clients wait, within a minute, because the pool of the pooler is too small on purpose",
            ),
            (
                format!("http://{prometheus}{alerts}"),
                "the alert about it, PgbouncerClientsWaiting: pending within a minute, firing after five",
            ),
        ];
        steps.extend(self.alertmanager.map(|address| match answers(address, "/script.js") {
            true => (format!("http://{address}/"), "those that fire, grouped, as they would be sent"),
            false => (
                format!("amtool --alertmanager.url=http://{address} alert"),
                "those that fire; this Alertmanager has no pages",
            ),
        }));
        let provisioning = self.folder.path().join("grafana");
        let grafana = format!("GF_PATHS_PROVISIONING={} grafana server", provisioning.display());
        steps.push((
            grafana,
            "the dashboards, if you have Grafana: http://localhost:3000 then (or `docker compose up`)",
        ));
        steps
    }

    /// How many alerts are pending, and how many fire; without the one that always fires.
    pub fn alerts(&self) -> Option<[usize; 2]> {
        let answer = http::get(self.prometheus?, "/api/v1/alerts", &[]).ok()?;
        let answer: Value = serde_json::from_slice(&answer.body).ok()?;
        let active = answer["data"]["alerts"].as_array()?;
        let is_in = |alert: &&Value, state| alert["state"] == state && alert["labels"]["alertname"] != "Watchdog";
        Some(["pending", "firing"].map(|state| active.iter().filter(|alert| is_in(alert, state)).count()))
    }
}

fn answers(address: SocketAddr, page: &str) -> bool {
    http::get(address, page, &[]).is_ok_and(|answer| answer.status == 200)
}

fn alertmanager(folder: &Folder, program: &Path, address: SocketAddr) -> Process {
    folder.write("alertmanager.yml", ALERTMANAGER);
    let mut command = folder.logged_command(program);
    command.args(["--config.file=alertmanager.yml", "--storage.path=alerts", "--cluster.listen-address="]);
    Process::start(command.arg(format!("--web.listen-address={address}")))
}

fn prometheus(
    folder: &Folder,
    program: &Path,
    address: SocketAddr,
    pgvigil: SocketAddr,
    alertmanager: Option<SocketAddr>,
) -> Process {
    let rules = fs::canonicalize("rules").expect("the folder of the rules: run the demo in the repository");
    let nobody = "alertmanager:9093".to_owned();
    let config = PROMETHEUS
        .replace("interval: 15s", "interval: 5s")
        .replace("pgvigil:9878", &pgvigil.to_string())
        .replace("alertmanager:9093", &alertmanager.map_or(nobody, |address| address.to_string()))
        .replace("/etc/prometheus/rules", &rules.display().to_string());
    folder.write("prometheus.yml", &config);
    let mut command = folder.logged_command(program);
    command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    Process::start(command.arg(format!("--web.listen-address={address}")))
}

/// Writes what Grafana reads at its start: the data source, where the dashboards are, and these.
fn provision(folder: &Folder, prometheus: SocketAddr) {
    let made = |name: &str| -> PathBuf {
        let path = folder.path().join("grafana").join(name);
        fs::create_dir_all(&path).expect("a folder");
        path
    };
    let dashboards = made("boards");
    let source = DATASOURCES.replace("prometheus:9090", &prometheus.to_string()).replace("15s", "5s");
    let provider = PROVIDERS.replace("/var/lib/grafana-dashboards", &dashboards.display().to_string());
    fs::write(made("datasources").join("pgvigil.yaml"), source).expect("a file");
    fs::write(made("dashboards").join("pgvigil.yaml"), provider).expect("a file");
    for (name, text) in shipped::files().expect("the dashboards") {
        fs::write(dashboards.join(name), text).expect("a file");
    }
}
