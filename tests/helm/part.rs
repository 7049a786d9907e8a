//! The chart as a part of another one, which switches it on, and whose release names its servers.

use std::{fs, os::unix::fs::symlink};

use super::{CHART, helm, mounted::text, object, parse};
use crate::support::Folder;

const PARENT: &str = "
apiVersion: v2
name: shop
version: 1.0.0
dependencies:
  - {name: pgvigil, version: '*', condition: pgvigil.enabled}
";

const VALUES: &str = "
global: {region: eu}
pgvigil:
  enabled: true
  config:
    targets:
      - {name: '{{ .Release.Name }}-db', postgres: {host: '{{ .Release.Name }}-postgresql.{{ .Release.Namespace }}', user: pgvigil}}
";

#[test]
fn a_chart_can_have_it_as_a_part() {
    let folder = Folder::new("parent", "TERM");
    folder.write("Chart.yaml", PARENT);
    folder.write("values.yaml", VALUES);
    fs::create_dir(folder.path().join("charts")).expect("a folder");
    let chart = fs::canonicalize(CHART).expect("the chart");
    symlink(chart, folder.path().join("charts/pgvigil")).expect("a link");
    let place = folder.path().display().to_string();
    for major in [3, 4] {
        let render = |more: &[&str]| {
            let output = helm(major, &[&["template", "eu", &place, "--namespace", "shop"], more].concat());
            assert!(output.status.success(), "Helm {major}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let objects = parse(&render(&[]));
        let settings = text(&object(&objects, "Secret", "eu-pgvigil")["stringData"]["pgvigil.yaml"]).to_owned();
        assert!(settings.contains("eu-db") && settings.contains("eu-postgresql.shop"), "{settings}");
        assert_eq!(render(&["--set", "pgvigil.enabled=false"]).trim(), "", "Helm {major}");
    }
}
