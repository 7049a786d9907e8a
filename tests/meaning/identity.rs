//! The collector identity: who belongs together, without any label, also while a server is down; what tells a split brain from a clone.

use crate::support::{Folder, Pgvigil, Postgres, Stop, eventually, majors, page};

use super::{BINARY, PATIENCE, server, wrong};

/// pgvigil on several servers, which looks at who they are all the time.
fn watch(servers: &[(&str, &Postgres)]) -> Pgvigil {
    let targets = servers.iter().map(|(name, server)| {
        format!("  - {{name: {name}, postgres: {{url: \"{}\"}}}}\n", server.url("pgvigil", "postgres"))
    });
    let folder = Folder::new("settings", "TERM");
    let text = format!("collectors: {{identity: {{ttl: 100ms}}}}\ntargets:\n{}", targets.collect::<String>());
    let file = folder.write("settings.yaml", &text);
    Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[])
}

/// Scrapes until the page fulfils every line.
fn soon(pgvigil: &Pgvigil, major: u32, lines: &str) {
    let mut is = Vec::new();
    let all = || {
        is = wrong(major, &pgvigil.get("/metrics?collector=identity&collector=exporter", &[]).text(), lines);
        is.is_empty()
    };
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eventually(PATIENCE, lines, all)));
    assert!(found.is_ok(), "PostgreSQL {major}: {is:#?}");
}

#[test]
fn servers_of_one_origin_are_known_also_when_they_are_down() {
    for major in majors() {
        let primary = server(major, "");
        let (replica, clone) = (primary.replica(), primary.replica());
        clone.promote();
        let system = primary.sql("postgres", "SELECT system_identifier FROM pg_control_system()");
        let pgvigil = watch(&[("a", &primary), ("b", &replica), ("clone", &clone)]);
        let together = format!(
            "pgvigil_identity_info{{target=a,system_identifier={system}}} = 1
             pgvigil_identity_info{{target=b,system_identifier={system}}} = 1
             pgvigil_identity_info{{target=clone,system_identifier={system}}} = 1
             pgvigil_identity_replica{{target=a}} = 0
             pgvigil_identity_replica{{target=b}} = 1
             pgvigil_identity_timeline{{target=b}} = 1
             pgvigil_identity_timeline{{target=clone}} = 2
             pgvigil_identity_streamed_timestamp_seconds{{target=b,timeline=1,system_identifier={system}}} recent
             pgvigil_identity_streamed_timestamp_seconds{{target=a}} absent
             pgvigil_identity_streamed_timestamp_seconds{{target=clone}} absent
             pgvigil_identity_followed_timestamp_seconds{{target=a,timeline=1,system_identifier={system}}} recent
             pgvigil_identity_followed_timestamp_seconds{{target=b}} absent
             pgvigil_identity_followed_timestamp_seconds{{target=clone}} absent"
        );
        soon(&pgvigil, major, &together);
        primary.stop(Stop::Fast);
        let down = format!(
            "pg_up{{target=a}} = 0
             pgvigil_identity_info{{target=a,system_identifier={system}}} = 1
             pgvigil_identity_replica{{target=a}} = 0
             pgvigil_identity_timeline{{target=a}} = 1"
        );
        soon(&pgvigil, major, &down);
        replica.promote();
        // A replica that was promoted has streamed on the timeline of the other primary, which comes back, and which it followed; a clone has not.
        primary.start();
        let split = "pgvigil_identity_replica{target=a} = 0
             pgvigil_identity_replica{target=b} = 0
             pgvigil_identity_timeline{target=a} = 1
             pgvigil_identity_timeline{target=b} = 2
             pgvigil_identity_streamed_timestamp_seconds{target=b,timeline=1} recent
             pgvigil_identity_streamed_timestamp_seconds{target=clone} absent
             pgvigil_identity_followed_timestamp_seconds{target=a,timeline=1} recent
             pgvigil_identity_followed_timestamp_seconds{target=b} absent
             pgvigil_identity_followed_timestamp_seconds{target=clone} absent";
        soon(&pgvigil, major, split);
    }
}

/// It is what is known without any further right; who streams is for those of pg_monitor.
#[test]
fn a_role_without_rights_knows_who_a_server_is() {
    for major in majors() {
        let server = server(major, "");
        server.sql("postgres", "REVOKE pg_monitor FROM pgvigil");
        let pgvigil = watch(&[("a", &server)]);
        soon(
            &pgvigil,
            major,
            "pgvigil_identity_info{target=a} = 1\npgvigil_identity_timeline{target=a} = 1\npgvigil_identity_replica{target=a} = 0",
        );
        let page = pgvigil.get("/metrics?collector=identity&collector=exporter", &[]).text();
        assert_eq!(page::samples(&page, "pgvigil_collector_success", &[("collector", "identity")]), [1.0]);
    }
}
