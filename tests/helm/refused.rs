//! Values that cannot be meant are refused, and the message names the place and what would be right.

use super::{CHART, helm};

const WATCH: [&str; 2] = ["--set", "env.PGVIGIL_POSTGRES_URL=postgresql://db"];

/// What is set, and parts of what Helm 3 and Helm 4 say.
const REFUSED: [(&[&str], &str, &str); 27] = [
    (&[], "there is nothing to watch: list servers under config.targets", ""),
    (
        &["image.pullPolicy=Sometimes"],
        "image.pullPolicy must be one of the following: \"Always\"",
        "'/image/pullPolicy'",
    ),
    (&["image.pullpolicy=Always"], "image: Additional property pullpolicy is not allowed", "additional properties"),
    (&["service.port=http"], "service.port: Invalid type. Expected: integer", "'/service/port': got string"),
    (&["service.port=70000"], "service.port: Must be less than or equal to 65535", "'/service/port'"),
    (&["replicaCount=-1"], "replicaCount: Must be greater than or equal to 0", "'/replicaCount'"),
    (&["logLevel=loud"], "logLevel must be one of the following", "'/logLevel'"),
    (&["podlabels.a=b"], "Additional property podlabels is not allowed", "'podlabels'"),
    (&["config.targets[0].name=a"], "config.targets.0: Must validate one and only one schema", "'/config/targets/0'"),
    (&["config.targets[0].name=a", "config.targets[0].postgres.hots=b"], "Additional property hots", "'hots'"),
    (&["config.target[0].name=a"], "config: Additional property target is not allowed", "'target'"),
    (&["config.scrape_timeout=soon"], "config.scrape_timeout: Does not match pattern", "'/config/scrape_timeout'"),
    (&["config.scrape_timeout=5s"], "config.targets is empty", ""),
    (&["configSecret.name=a", "config.scrape_timeout=5s"], "config and configSecret.name are both set", ""),
    (&["configSecret.name=a", "webConfig.rate_limit.burst=1"], "webConfig and configSecret.name are both set", ""),
    (&["configSecret.webKey=a"], "configSecret.webKey is a key of the Secret configSecret.name", ""),
    (&["webConfig.tls_config.cert_file=a"], "webConfig: Additional property tls_config is not allowed", "'tls_config'"),
    (&["collectors.a=b", "collectorsConfigMap=c"], "collectors and collectorsConfigMap are both set", ""),
    (&["thresholds.a.warnin=1"], "thresholds.a: ", "warnin"),
    (&["thresholds.a.warning=1"], "thresholds are for the targets of config, which is empty", ""),
    (&["serviceMonitor.enabled=true", "podMonitor.enabled=true"], "which scrapes everything twice", ""),
    (&["serviceMonitor.enabled=true", "serviceMonitor.multipleTargets=true"], "name the targets under", ""),
    (&["prometheusRule.enabled=true", "prometheusRule.alerts.PostgresDwon.for=5m"], "no alert of this name", ""),
    (&["prometheusRule.alerts.PostgresDown.For=5m"], "Additional property For is not allowed", "'For'"),
    (&["prometheusRule.alerts.PostgresDown.for=5"], "PostgresDown.for: Invalid type", "PostgresDown/for'"),
    (&["prometheusRule.enabled=true", "prometheusRule.exclude={redis}"], "there is no file of rules \"redis\"", ""),
    (&["dashboards.exclude={nothing}"], "there is no dashboard \"nothing\"", ""),
];

#[test]
fn what_cannot_be_meant_is_refused() {
    for (sets, old, new) in REFUSED {
        let mut arguments = vec!["template", "x", CHART];
        arguments.extend(WATCH.iter().filter(|_| !sets.is_empty()));
        arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
        for (major, part) in [(3, old), (4, if new.is_empty() { old } else { new })] {
            let output = helm(major, &arguments);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && told.contains(part), "{sets:?}, Helm {major}, not {part:?}:\n{told}");
        }
    }
}
