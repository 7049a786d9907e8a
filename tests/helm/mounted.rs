//! What the container finds under /etc/pgvigil, in a folder of ours: the program takes it.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;

use super::{ci, matrix, object, objects};
use crate::support::Folder;

/// Where everything is mounted.
const ETC: &str = "/etc/pgvigil/";

/// Of the Deployment: its pod.
pub fn pod(objects: &[Value]) -> &Value {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    &deployment["spec"]["template"]["spec"]
}

/// A list, or none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn the_program_takes_settings_collectors_and_environment() {
    for values in matrix() {
        let (objects, folder) = (objects(&values, &[]), Folder::new("mounted", "TERM"));
        // The settings of `configSecret` are not ours.
        if values.contains("existing-secrets") {
            continue;
        }
        mount(&objects, folder.path());
        let container = &pod(&objects)["containers"][0];
        let mut check = Command::new(env!("CARGO_BIN_EXE_pgvigil"));
        check.arg("check").env_clear().envs(environment(&objects, container));
        for argument in list(&container["args"]).iter().map(text) {
            if ["--config=", "--collectors=", "--web.config.file="].iter().any(|option| argument.starts_with(option)) {
                check.arg(here(argument, folder.path()));
            }
        }
        let output = check.output().expect("running pgvigil");
        assert!(output.status.success(), "{values}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Writes the files of what is mounted; those of Secrets that are there already, as the settings name them.
fn mount(objects: &[Value], folder: &Path) {
    let pod = pod(objects);
    let mounts = list(&pod["containers"][0]["volumeMounts"]).iter();
    let mounts: Vec<_> = mounts.filter(|mount| text(&mount["mountPath"]).starts_with(ETC)).collect();
    for mount in &mounts {
        assert!(mount["subPath"].is_null(), "a file of a subPath does not change: {mount}");
        fs::create_dir_all(here(text(&mount["mountPath"]), folder)).expect("a folder");
    }
    for mount in &mounts {
        let volume = list(&pod["volumes"]).iter().find(|volume| volume["name"] == mount["name"]).expect("a volume");
        for (name, content) in files(objects, volume) {
            let content = here(&content, folder);
            content.match_indices(&here(ETC, folder)).for_each(|(at, _)| secret(&content[at..]));
            fs::write(Path::new(&here(text(&mount["mountPath"]), folder)).join(name), &content).expect("a file");
        }
    }
}

/// A file that the settings name, whose path begins here. Its folder must be there: it is what is mounted.
fn secret(path: &str) {
    let path = path.split(|c: char| c.is_whitespace() || "'\"".contains(c)).next().unwrap_or_default();
    let content = match path.rsplit(['/', '.']).next() {
        Some("url") => "postgresql://pgvigil:x@db/postgres",
        Some("crt") => include_str!("../good/pem/server.crt"),
        Some("key") => include_str!("../good/pem/server.key"),
        _ => "x",
    };
    fs::write(path, content).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// The files of a volume, as far as they are ours.
fn files(objects: &[Value], volume: &Value) -> BTreeMap<String, String> {
    let named = |kind: &str, name: &Value| {
        objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == *name)
    };
    let secret = named("Secret", &volume["secret"]["secretName"]).map(|secret| &secret["stringData"]);
    let map = named("ConfigMap", &volume["configMap"]["name"]).map(|map| &map["data"]);
    let entries = secret.or(map).and_then(Value::as_object).into_iter().flatten();
    entries.map(|(name, content)| (name.clone(), text(content).to_owned())).collect()
}

/// The same text, with what is under /etc/pgvigil in our folder.
fn here(text: &str, folder: &Path) -> String {
    text.replace(ETC, &format!("{}/", folder.display()))
}

/// The variables of a container; what comes from elsewhere is `x`.
fn environment(objects: &[Value], container: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for from in list(&container["envFrom"]) {
        let is_it = |object: &&Value| object["metadata"]["name"] == from["secretRef"]["name"];
        let ours = objects.iter().filter(|object| object["kind"] == "Secret").find(is_it);
        let entries = ours.and_then(|secret| secret["stringData"].as_object()).into_iter().flatten();
        all.extend(entries.map(|(name, value)| (name.clone(), text(value).to_owned())));
    }
    all.extend(list(&container["env"]).iter().map(|variable| (text(&variable["name"]).to_owned(), "x".to_owned())));
    all
}

#[test]
fn secrets_of_the_settings_are_mounted_by_themselves() {
    let mounts = |values: &str| -> Vec<String> {
        let objects = objects(&ci(values), &[]);
        let mounts = list(&pod(&objects)["containers"][0]["volumeMounts"]).iter();
        mounts.map(|mount| text(&mount["mountPath"]).to_owned()).filter(|path| path.contains("/secrets/")).collect()
    };
    let secrets = |names: &[&str]| names.iter().map(|name| format!("{ETC}secrets/{name}")).collect::<Vec<_>>();
    assert_eq!(mounts("minimal"), secrets(&["orders-db"]));
    assert_eq!(mounts("targets"), secrets(&["orders-ca", "orders-cache", "orders-db", "orders-replica.shop"]));
    assert_eq!(mounts("existing-secrets"), secrets(&["orders-db", "shop-metrics-billing"]));
    assert_eq!(mounts("no-operator"), secrets(&[]));
    assert_eq!(mounts("web"), secrets(&["orders-db", "pgvigil-tls"]));
}

/// Files are read again; only a change of the environment needs another pod.
#[test]
fn only_the_environment_replaces_the_pod() {
    let template = |more: &[&str]| {
        let objects = objects(&ci("everything"), more);
        object(&objects, "Deployment", "shop-metrics-vigil")["spec"]["template"].clone()
    };
    let before = template(&[]);
    for (set, is_same) in [
        ("config.scrape_timeout=\"7s\"", true),
        ("thresholds.connections_used_ratio.warning=0.5", true),
        ("collectors.more=\"collector: more\"", true),
        ("config.targets[0].thresholds={\"deadlocks_rate\": {\"warning\": 1}}", true),
        ("env.RUST_BACKTRACE=\"full\"", false),
    ] {
        assert_eq!(template(&["--set-json", set]) == before, is_same, "{set}");
    }
}
