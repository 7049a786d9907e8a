//! Who reads pgvigil's page in the demo: a Prometheus with the shipped rules and an Alertmanager, where they are installed, set up
//! as in compose.yaml; and a folder from which a Grafana of yours takes the dashboards.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use pgvigil::shipped::dashboards as shipped;

use crate::support::{Folder, eventually, http, place::find_program, process::Process};

const PROMETHEUS: &str = include_str!("../../deploy/compose/prometheus/prometheus.yml");
const ALERTMANAGER: &str = include_str!("../../deploy/compose/alertmanager/alertmanager.yml");
const DATASOURCES: &str = include_str!("../../deploy/compose/grafana/datasources.yaml");
const PROVIDERS: &str = include_str!("../../deploy/compose/grafana/dashboards.yaml");

/// The programs, until they are dropped.
pub struct Readers {
    folder: Folder,
    prometheus: Option<SocketAddr>,
    alertmanager: Option<SocketAddr>,
    _running: Vec<Process>,
}

impl Readers {
    /// Starts what is installed. `free`: an address, or another where it is taken.
    pub fn start(pgvigil: SocketAddr, free: impl Fn(SocketAddr) -> SocketAddr) -> Readers {
        let folder = Folder::new("readers", "TERM");
        let at = |port| free(SocketAddr::new(pgvigil.ip(), port));
        let mut running = Vec::new();
        let alertmanager = find_program(&["alertmanager", "prometheus-alertmanager"]).map(|program| {
            let address = at(9093);
            running.push(alertmanager(&folder, &program, address));
            address
        });
        let prometheus = find_program(&["prometheus"]).map(|program| {
            let address = at(9090);
            running.push(prometheus(&folder, &program, address, pgvigil, alertmanager));
            address
        });
        for address in prometheus.iter().chain(&alertmanager) {
            eventually(Duration::from_secs(20), "those who read are ready", || answers(*address, "/-/ready"));
        }
        prometheus.iter().for_each(|address| provision(&folder, *address));
        Readers { folder, prometheus, alertmanager, _running: running }
    }

    /// What there is to look at. Not every build has all pages: Debian's Prometheus has the older ones, its Alertmanager none.
    pub fn lines(&self) -> Vec<String> {
        let Some(prometheus) = self.prometheus else {
            return vec!["No Prometheus is installed, so there are no alerts and nothing for dashboards.".to_owned()];
        };
        let alerts =
            ["/alerts", "/classic/alerts", "/api/v1/alerts"].into_iter().find(|page| answers(prometheus, page));
        let alerts = alerts.unwrap_or_default();
        let mut lines = vec![format!("http://{prometheus}{alerts}           Prometheus with the shipped rules")];
        lines.extend(self.alertmanager.map(|address| match answers(address, "/script.js") {
            true => format!("http://{address}/                 Alertmanager"),
            false => {
                format!("amtool --alertmanager.url=http://{address} alert   Alertmanager, which has no pages here")
            }
        }));
        let provisioning = self.folder.path().join("grafana");
        lines.push(format!(
            "GF_PATHS_PROVISIONING={} grafana server   a Grafana of yours, with the dashboards",
            provisioning.display()
        ));
        lines
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
