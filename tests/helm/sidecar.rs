//! The container beside pgvigil, as its values have it, with a real pgBackRest: pgvigil knows what the tool knows.

use std::time::Duration;

use super::{
    ci,
    mounted::{list, pod, text},
    object, objects,
};
use crate::support::{Folder, PgBackRest, Pgvigil, Postgres, eventually, process::Process, sample};

#[test]
#[ignore = "long: make test-all"]
fn a_container_beside_pgvigil_tells_of_backups() {
    let repository = PgBackRest::new();
    let server = repository.archived(Postgres::builder(15)).start();
    repository.create(&server);
    repository.backup("full");
    let objects = objects(&ci("backup"), &["--set", "config.targets[0].backup.repositories[0].stanza=main"]);
    let beside = list(&pod(&objects)["containers"]).iter().find(|c| c["name"] == "pgbackrest").expect("a container");
    assert_eq!(beside["command"], serde_json::json!(["/bin/sh", "-c"]));

    let shared = Folder::for_server("shared", "TERM");
    let here = |text: &str| text.replace("/shared", &shared.path().display().to_string());
    let mut script = shared.logged_command("/bin/sh");
    script.arg("-c").arg(here(text(&beside["args"][0]))).env("PGBACKREST_CONFIG", repository.config());
    let _beside = Process::start(&mut script);
    let settings = text(&object(&objects, "Secret", "shop-metrics-pgvigil")["stringData"]["pgvigil.yaml"]);
    let file = shared.write("pgvigil.yaml", &here(settings)).display().to_string();
    eventually(Duration::from_secs(60), "the file is there", || shared.path().join("pgbackrest.json").exists());
    let pgvigil = Pgvigil::start(env!("CARGO_BIN_EXE_pgvigil"), &["--config", &file], &[]);
    let page = pgvigil.scrape();
    assert_eq!(sample(&page, "pgvigil_backup_up", &[("repository", "main")]), Some(1.0), "{page}\n{}", shared.log());
    assert_eq!(sample(&page, "pgvigil_backup_restore_points", &[("stanza", "main")]), Some(1.0), "{page}");
}
