//! Alertmanager, which groups, mutes and sends on what Prometheus says.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;

use super::{
    Folder, eventually, http,
    place::{any_program, free_port},
    process::Process,
};

pub struct Alertmanager {
    address: SocketAddr,
    folder: Folder,
    process: Process,
}

impl Alertmanager {
    /// Alone, with this configuration; returns when it answers.
    pub fn start(config: &Value) -> Alertmanager {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = Folder::new("alertmanager", "TERM");
        folder.write("alertmanager.yml", &config.to_string());
        // Debian's name for it, and its own.
        let program = any_program(&["prometheus-alertmanager", "alertmanager"]);
        let mut command = folder.logged_command(program);
        command.args(["--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address="]);
        let process = Process::start(command.arg(format!("--web.listen-address={address}")));
        let mut alertmanager = Alertmanager { address, folder, process };
        eventually(Duration::from_secs(30), "Alertmanager is ready", || {
            assert!(
                alertmanager.process.ended().is_none(),
                "Alertmanager did not start:\n{}",
                alertmanager.folder.log()
            );
            http::get(address, "/-/ready", &[]).is_ok_and(|answer| answer.status == 200)
        });
        alertmanager
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn log(&self) -> String {
        self.folder.log()
    }

    /// The alerts that others mute now.
    pub fn muted(&self) -> Vec<Value> {
        let answer = http::get(self.address, "/api/v2/alerts?active=false&silenced=false&inhibited=true", &[]);
        let answer = answer.expect("Alertmanager answers");
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
    }
}
