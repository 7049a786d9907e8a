//! What matters in the objects: they find each other, each target is scraped, what one sets arrives, and nothing is forgotten.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use super::{
    CHART, RELEASE, ci, matrix,
    mounted::{list, pod, text},
    object, objects, of_kind,
    values::{at, defaults, is_group, keys},
};
use crate::support::yaml;

const OWN: &str = "shop-metrics-pgvigil";

#[test]
fn objects_find_each_other() {
    for values in matrix() {
        let objects = objects(&values, &[]);
        let deployment = of_kind(&objects, "Deployment").next().expect("a Deployment");
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        let finds = |selector: &Value| {
            let wanted = selector.as_object().expect("a selector");
            let finds =
                |labels: &Value| !wanted.is_empty() && wanted.iter().all(|(name, value)| labels[name] == *value);
            let test = of_kind(&objects, "Pod").any(|test| finds(&test["metadata"]["labels"]));
            (finds(labels), test)
        };
        let service = of_kind(&objects, "Service").next().expect("a Service");
        // A Deployment's selector can never change: nothing that may be changed is in it but what names the release.
        let keys = deployment["spec"]["selector"]["matchLabels"].as_object().expect("a selector").keys();
        assert!(keys.eq(["app.kubernetes.io/instance", "app.kubernetes.io/name"]), "{values}");
        let mut selectors = vec![&service["spec"]["selector"], &deployment["spec"]["selector"]["matchLabels"]];
        for (kind, key) in
            [("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector"), ("PodMonitor", "selector")]
        {
            selectors.extend(of_kind(&objects, kind).map(|object| &object["spec"][key]["matchLabels"]));
        }
        for selector in selectors {
            assert_eq!(finds(selector), (true, false), "{values}: {selector}");
        }
        for monitor in of_kind(&objects, "ServiceMonitor") {
            let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().expect("a selector");
            assert!(wanted.iter().all(|(name, value)| service["metadata"]["labels"][name] == *value), "{values}");
        }
        for monitor in ["ServiceMonitor", "PodMonitor"].iter().flat_map(|kind| of_kind(&objects, kind)) {
            assert_eq!(monitor["spec"]["namespaceSelector"]["matchNames"], json!([service["metadata"]["namespace"]]));
        }
        let port = &pod(&objects)["containers"][0]["ports"][0];
        assert_eq!((&port["name"], &service["spec"]["ports"][0]["targetPort"]), (&json!("http"), &json!("http")));
        let account = &pod(&objects)["serviceAccountName"];
        assert_eq!(
            of_kind(&objects, "ServiceAccount").any(|a| a["metadata"]["name"] == *account),
            !values.contains("existing")
        );
    }
}

#[test]
fn names_and_labels_are_on_every_object() {
    let ours = |objects: Vec<Value>| {
        objects.into_iter().filter(|o| {
            !text(&o["metadata"]["name"]).ends_with("-more") && !text(&o["metadata"]["name"]).ends_with("-text")
        })
    };
    for object in ours(objects(&ci("everything"), &[])) {
        let metadata = &object["metadata"];
        let other = ["monitoring", "grafana"].contains(&text(&metadata["namespace"]));
        assert!(other || metadata["namespace"] == "databases", "{metadata}");
        assert_eq!(metadata["labels"]["team"], "storage", "{metadata}");
        assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], RELEASE, "{metadata}");
        let name = text(&metadata["name"]);
        assert!(name.starts_with("shop-metrics-vigil") || name == "watcher", "{name}");
    }
    for object in objects(&ci("existing-secrets"), &[]) {
        assert!(text(&object["metadata"]["name"]).starts_with("db-metrics"), "{}", object["metadata"]);
        assert_eq!(object["metadata"]["namespace"], "monitoring");
    }
}

#[test]
fn one_scrape_by_default_and_one_for_each_target_when_asked() {
    let simple = objects(&ci("minimal"), &["--set", "serviceMonitor.enabled=true"]);
    let spec = &object(&simple, "ServiceMonitor", OWN)["spec"];
    assert_eq!(spec["endpoints"], json!([{"port": "http", "path": "/metrics", "honorLabels": true}]));

    let several = objects(&ci("targets"), &[]);
    let endpoints = list(&object(&several, "ServiceMonitor", OWN)["spec"]["endpoints"]);
    let named: Vec<_> = endpoints.iter().map(|endpoint| text(&endpoint["params"]["target"][0])).collect();
    assert_eq!(named, ["orders", "orders-replica", "orders-pool", "orders-cache"]);
    let intervals: Vec<_> = endpoints.iter().map(|endpoint| text(&endpoint["interval"])).collect();
    assert_eq!(intervals, ["10s", "30s", "30s", "30s"]);
    for endpoint in endpoints {
        let labels: Vec<_> = list(&endpoint["relabelings"]).iter().map(|one| text(&one["targetLabel"])).collect();
        assert_eq!(labels, ["instance", "__tmp_hash", "node"], "the ones asked for come last");
    }
    let pods = objects(&ci("existing-secrets"), &[]);
    let endpoints = list(&object(&pods, "PodMonitor", "db-metrics")["spec"]["podMetricsEndpoints"]);
    let named: Vec<_> = endpoints.iter().map(|endpoint| text(&endpoint["params"]["target"][0])).collect();
    assert_eq!(named, ["billing", "orders"]);
    let full = objects(&ci("everything"), &[]);
    let endpoint = &object(&full, "ServiceMonitor", "shop-metrics-vigil")["spec"]["endpoints"][0];
    assert_eq!(endpoint["params"], json!({"collector": ["connections"], "target": ["orders"]}));
    assert_eq!((&endpoint["honorLabels"], &endpoint["enableHttp2"]), (&json!(true), &json!(false)));
}

#[test]
fn thresholds_for_all_give_way_to_a_targets_own() {
    let objects = objects(&ci("targets"), &[]);
    let settings = text(&object(&objects, "Secret", OWN)["stringData"]["pgvigil.yaml"]).to_owned();
    let settings = yaml::parse(&settings).expect("YAML");
    let of = |target: usize| &settings["targets"][target]["thresholds"];
    let all = json!({
        "connections_used_ratio": {"warning": 0.75},
        "slot_retained_bytes": {"warning": 5_368_709_120_u64, "critical": 21_474_836_480_u64},
        "replication_lag_seconds": {"warning": 0},
    });
    assert_eq!(*of(2), all);
    assert_eq!(of(0)["connections_used_ratio"], json!({"warning": 0.75, "critical": 0.95}));
    assert_eq!(of(1)["slot_retained_bytes"], json!({"warning": 0, "critical": 21_474_836_480_u64}));
    assert_eq!(settings["targets"][0]["postgres"]["host"], format!("{RELEASE}-orders"));
}

#[test]
fn a_network_policy_lets_in_who_scrapes_and_out_to_the_targets() {
    let full = objects(&ci("everything"), &[]);
    let spec = &object(&full, "NetworkPolicy", "shop-metrics-vigil")["spec"];
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    let from = list(&spec["ingress"][0]["from"]);
    assert_eq!(from[0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], "monitoring");
    let test = of_kind(&full, "Pod").next().expect("the pod of `helm test`");
    let wanted = from[1]["podSelector"]["matchLabels"].as_object().expect("a selector");
    assert!(wanted.iter().all(|(name, value)| test["metadata"]["labels"][name] == *value));
    let ports: Vec<_> =
        list(&spec["egress"]).iter().flat_map(|rule| list(&rule["ports"])).map(|p| &p["port"]).collect();
    assert_eq!(ports, [53, 53, 5432, 443]);
    let open = objects(&ci("no-operator"), &[]);
    assert_eq!(object(&open, "NetworkPolicy", OWN)["spec"]["policyTypes"], json!(["Ingress"]));
}

/// The kubelet has neither a password nor a certificate; Prometheus has what it is given.
#[test]
fn who_asks_asks_as_the_web_configuration_wants_it() {
    let tls = r#"webConfig.tls_server_config={"cert_file": "/a", "key_file": "/b"}"#;
    let clients = r#"webConfig.tls_server_config={"cert_file": "/a", "key_file": "/b", "client_auth_type": "RequireAndVerifyClientCert"}"#;
    let users = r#"webConfig.basic_auth_users={"a": "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"}"#;
    let probe = |scheme: &str| json!({"httpGet": {"path": "/readyz", "port": "http", "scheme": scheme}});
    let plain = json!({"httpGet": {"path": "/readyz", "port": "http"}});
    let listens = json!({"tcpSocket": {"port": "http"}});
    for (set, wanted, scheme, tested) in [
        ("webConfig={}", &plain, Value::Null, Some("http://")),
        (tls, &probe("HTTPS"), json!("https"), Some("https://")),
        (clients, &listens, json!("https"), None),
        (users, &listens, Value::Null, None),
    ] {
        let more = ["--set", "serviceMonitor.enabled=true", "--set-json", set];
        let objects = objects(&ci("minimal"), &more);
        let mut own = pod(&objects)["containers"][0]["readinessProbe"].clone();
        own.as_object_mut().expect("a probe").retain(|key, _| wanted.get(key).is_some());
        assert_eq!(own, *wanted, "{set}");
        assert_eq!(object(&objects, "ServiceMonitor", OWN)["spec"]["endpoints"][0]["scheme"], scheme, "{set}");
        let test = of_kind(&objects, "Pod").next().map(|pod| text(&pod["spec"]["containers"][0]["args"][2]).to_owned());
        assert_eq!(test.is_some(), tested.is_some(), "{set}");
        assert!(test.is_none_or(|url| tested.is_some_and(|begin| url.starts_with(begin))), "{set}");
    }
}

/// The values called `everything` set every key to something else.
#[test]
fn everything_is_tried() {
    let everything = yaml::parse(&fs::read_to_string(ci("everything")).expect("values")).expect("YAML");
    let (keys, defaults) = (keys(), defaults());
    let single = keys.iter().filter(|key| !is_group(&keys, &key.path));
    let same = single.filter(|key| at(&everything, &key.path) == at(&defaults, &key.path));
    let same: BTreeSet<_> = same.map(|key| key.path.join(".")).collect();
    // Those that others exclude, or that have one value that means anything here; other values try them.
    let others = [
        "collectorsConfigMap",
        "configSecret.name",
        "dashboards.exclude",
        "enabled",
        "fullnameOverride",
        "podMonitor",
        "networkPolicy.egress.dns",
        "networkPolicy.egress.enabled",
        "podDisruptionBudget.maxUnavailable",
        "serviceAccount.create",
        "serviceMonitor.path",
        "tests.enabled",
    ];
    let forgotten: Vec<_> = same.iter().filter(|key| !others.iter().any(|other| key.starts_with(other))).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[test]
fn a_policy_is_made_where_it_is_said_who_scrapes() {
    let from = "networkPolicy.ingress.from[0].podSelector.matchLabels.app=prometheus";
    for (set, made) in [
        (&[][..], false),
        (&[from][..], true),
        (&[from, "networkPolicy.enabled=false"][..], false),
        (&["networkPolicy.enabled=true"][..], true),
    ] {
        let set: Vec<_> = set.iter().flat_map(|value| ["--set", *value]).collect();
        let objects = objects(&ci("minimal"), &set);
        assert_eq!(objects.iter().any(|object| object["kind"] == "NetworkPolicy"), made, "{set:?}");
    }
}

#[test]
fn the_image_is_as_the_chart_expects_it() {
    let image = fs::read_to_string("Dockerfile").expect("Dockerfile");
    let (defaults, objects) = (defaults(), objects(&ci("minimal"), &[]));
    let (context, container) = (&pod(&objects)["securityContext"], &pod(&objects)["containers"][0]);
    for line in [
        format!("USER {}:{}", context["runAsUser"], context["runAsGroup"]),
        format!("EXPOSE {}", defaults["containerPort"]),
        "ENTRYPOINT [\"/pgvigil\"]".to_owned(),
    ] {
        assert!(image.lines().any(|other| other == line), "Dockerfile has no line {line}");
    }
    assert!(container["command"].is_null() && container["args"][0] == "serve");
}

/// Chart, image and program have one version; what this one takes as values is kept, for the next to be tried with.
#[test]
fn versions_are_one_and_their_values_are_kept() {
    let chart = yaml::parse(&fs::read_to_string(format!("{CHART}/Chart.yaml")).expect("Chart.yaml")).expect("YAML");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(version), &json!(version)));
    let objects = objects(&ci("minimal"), &[]);
    assert_eq!(pod(&objects)["containers"][0]["image"], format!("ghcr.io/pgvigil/pgvigil:{version}"));
    let now = fs::read_to_string(ci("everything")).expect("values");
    expect_test::expect_file![format!("../../{CHART}/ci/versions/{version}-values.yaml")].assert_eq(&now);
}
