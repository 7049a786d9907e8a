//! What a changed value does, up to the running program: the kubelet swaps what is mounted, and nothing is restarted.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use super::{ci, mounted::list, mounted::text, object, objects};
use crate::support::{Folder, Pgvigil, eventually, sample};

const OWN: &str = "shop-metrics-pgvigil";

/// A folder as the kubelet mounts it: each file a link into `..data`, itself a link to a folder of the files' age.
struct Mount(PathBuf);

impl Mount {
    fn new(place: PathBuf) -> Mount {
        fs::create_dir(&place).expect("a folder");
        Mount(place)
    }

    /// Shows the files of an object from now on: all of them at once, by one rename.
    fn show(&self, age: u32, files: &Value) {
        let (name, link) = (format!("..2026_11_21_12_00_{age:02}.1"), self.0.join("..data"));
        fs::create_dir(self.0.join(&name)).expect("a folder");
        for (file, content) in files.as_object().expect("files") {
            fs::write(self.0.join(&name).join(file), text(content)).expect("a file");
        }
        let before = fs::read_link(&link).ok();
        symlink(&name, self.0.join("..data_tmp")).expect("a link");
        fs::rename(self.0.join("..data_tmp"), &link).expect("renaming a link");
        let links = fs::read_dir(&self.0).expect("a folder").flatten().map(|entry| entry.path());
        links
            .filter(|link| !link.ends_with("..data") && link.is_symlink())
            .for_each(|old| fs::remove_file(old).expect("a link"));
        for file in files.as_object().expect("files").keys() {
            symlink(Path::new("..data").join(file), self.0.join(file)).expect("a link");
        }
        before.into_iter().for_each(|old| fs::remove_dir_all(self.0.join(old)).expect("removing the old one"));
    }
}

/// What `helm test` runs, against this program instead of the Service.
fn helm_test(pgvigil: &Pgvigil) {
    let objects = objects(&ci("minimal"), &[]);
    let pod = object(&objects, "Pod", &format!("{OWN}-ready"));
    let service = format!("{OWN}.shop:9878");
    let arguments = list(&pod["spec"]["containers"][0]["args"]).iter().map(text);
    let arguments: Vec<_> = arguments.map(|text| text.replace(&service, &pgvigil.address().to_string())).collect();
    assert!(arguments.concat().contains(&pgvigil.address().to_string()), "{arguments:?}");
    let output = Command::new(env!("CARGO_BIN_EXE_pgvigil")).args(&arguments).output().expect("running it");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn changed_values_reach_the_running_program() {
    let folder = Folder::new("mounts", "TERM");
    let [settings, collectors] = ["settings", "collectors"].map(|name| Mount::new(folder.path().join(name)));
    let show = |age: u32, warning: &str| {
        let config = r#"config={"targets": [{"name": "disks", "disk": {"paths": [{"path": "/"}]}}]}"#;
        let threshold = format!("thresholds.disk_used_ratio.warning={warning}");
        let collector = fs::read_to_string("examples/collectors/outbox.yaml").expect("an example");
        let collector = Value::from(collector.replace("outbox", &format!("outbox{age}")));
        let collector = format!("collectors.outbox{age}={collector}");
        let objects =
            objects(&ci("minimal"), &["--set-json", config, "--set-json", &threshold, "--set-json", &collector]);
        settings.show(age, &object(&objects, "Secret", OWN)["stringData"]);
        collectors.show(age, &object(&objects, "ConfigMap", &format!("{OWN}-collectors"))["data"]);
    };
    show(1, "0.61");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let arguments = ["--config", &path("settings/pgvigil.yaml"), "--collectors", &path("collectors")];
    let pgvigil = Pgvigil::start(env!("CARGO_BIN_EXE_pgvigil"), &arguments, &[]);
    let of = [("target", "disks"), ("name", "disk_used_ratio"), ("severity", "warning")];
    let threshold = || sample(&pgvigil.scrape(), "pgvigil_threshold", &of);
    assert_eq!(threshold(), Some(0.61));
    helm_test(&pgvigil);
    show(2, "0.62");
    eventually(Duration::from_secs(30), "the new threshold is in force", || threshold() == Some(0.62));
    eventually(Duration::from_secs(30), "the new collector is there, the old one gone", || {
        let status = |name: &str| pgvigil.get(&format!("/metrics?collector={name}"), &[]).status;
        (status("outbox1"), status("outbox2")) == (400, 200)
    });
    assert_eq!(sample(&pgvigil.scrape(), "pgvigil_config_reload_success", &[]), Some(1.0));
}
