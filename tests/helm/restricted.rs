//! Every pod fits the Pod Security Standard `restricted`, and more: no token, nothing that can be written but what is asked for.

use serde_json::{Value, json};

use super::{ci, matrix, mounted::list, object, objects};

/// What a restricted pod may mount.
const VOLUMES: [&str; 7] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected"];

#[test]
fn every_pod_is_restricted() {
    for values in matrix() {
        let objects = objects(&values, &[]);
        let pods: Vec<_> = objects.iter().filter_map(pod).collect();
        // The Deployment's pod and that of `helm test`, which has no password.
        assert_eq!(
            pods.len(),
            if ["web-", "existing-"].iter().any(|name| values.contains(name)) { 1 } else { 2 },
            "{values}"
        );
        for pod in pods {
            check(pod, &values);
        }
    }
}

fn pod(object: &Value) -> Option<&Value> {
    match object["kind"].as_str() {
        Some("Pod") => Some(&object["spec"]),
        Some("Deployment") => Some(&object["spec"]["template"]["spec"]),
        _ => None,
    }
}

fn check(pod: &Value, values: &str) {
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[key].is_null(), "{values}: {key}");
    }
    let context = &pod["securityContext"];
    assert_eq!(context["runAsNonRoot"], true, "{values}");
    assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault", "{values}");
    assert_ne!(context["runAsUser"], 0, "{values}");
    for volume in list(&pod["volumes"]) {
        let keys = volume.as_object().expect("a volume").keys().filter(|key| *key != "name");
        keys.for_each(|key| assert!(VOLUMES.contains(&key.as_str()) || key == "secret", "{values}: {key}"));
    }
    for container in list(&pod["containers"]).iter().chain(list(&pod["initContainers"])) {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false, "{values}: {container}");
        assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}), "{values}: {container}");
        assert!(context["privileged"].is_null() && list(&container["ports"]).iter().all(|p| p["hostPort"].is_null()));
    }
}

#[test]
fn by_default_there_is_no_token_and_nothing_to_write() {
    let objects = objects(&ci("minimal"), &[]);
    let account = object(&objects, "ServiceAccount", "shop-metrics-pgvigil");
    assert_eq!(account["automountServiceAccountToken"], false);
    let pod = &object(&objects, "Deployment", "shop-metrics-pgvigil")["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    let mounts = list(&container["volumeMounts"]);
    assert!(mounts.len() == 2 && mounts.iter().all(|mount| mount["readOnly"] == true), "{mounts:?}");
    assert!(list(&pod["volumes"]).iter().all(|volume| volume["secret"]["defaultMode"] == 0o440), "{pod}");
}
