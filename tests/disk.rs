//! Disks: real filesystems, and paths that are not there.

use std::process::Command;

use crate::support::{Folder, Pgvigil, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

#[test]
fn filesystems_are_as_df_says_and_what_is_missing_says_so() {
    let folder = Folder::new("disk", "TERM");
    let at = folder.path().display();
    let file = folder.write(
        "pgvigil.yaml",
        &format!("targets: [{{name: d, disk: {{paths: [{{name: data, path: {at}}}, {{path: /proc}}, {{path: {at}/gone}}]}}}}]"),
    );
    let config = file.display().to_string();
    let pgvigil = Pgvigil::start(BINARY, &["--config", &config], &[]);
    let page = pgvigil.scrape();
    let of = |page: &str, name: &str| sample(page, name, &[("target", "d"), ("path", "data")]);
    let df = Command::new("df").args(["-B1", "--output=size,itotal"]).arg(folder.path()).output().expect("df runs");
    let df = String::from_utf8_lossy(&df.stdout).lines().last().map(str::to_owned).expect("a line");
    let df: Vec<f64> = df.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    assert_eq!(of(&page, "pgvigil_disk_size_bytes"), Some(df[0]), "{page}");
    assert_eq!(of(&page, "pgvigil_disk_inodes").unwrap_or(0.0), df[1]);
    assert!(of(&page, "pgvigil_disk_free_bytes") >= of(&page, "pgvigil_disk_available_bytes"));
    assert_eq!(of(&page, "pgvigil_disk_read_only"), Some(0.0));
    assert!(sample(&page, "pgvigil_disk_size_bytes", &[("path", "/proc")]).is_some());
    assert_eq!(sample(&page, "pgvigil_disk_inodes", &[("path", "/proc")]), None, "it has no number of inodes");
    let gone = format!("{at}/gone");
    assert_eq!(sample(&page, "pgvigil_disk_problem", &[("path", &gone), ("reason", "missing")]), Some(1.0));
    assert_eq!(sample(&page, "pgvigil_disk_size_bytes", &[("path", &gone)]), None);
    std::fs::create_dir(&gone).expect("a folder");
    let page = pgvigil.scrape();
    assert!(sample(&page, "pgvigil_disk_size_bytes", &[("path", &gone)]).is_some());
    assert!(!page.contains("pgvigil_disk_problem{"));

    std::fs::remove_dir(&gone).expect("removing a folder");
    let output = Command::new(BINARY).args(["check", "--connect", "--config", &config]).output().expect("pgvigil runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        !output.status.success() && said.contains(&format!("FAILED     path {gone}: there is no such path")),
        "{said}"
    );
}
