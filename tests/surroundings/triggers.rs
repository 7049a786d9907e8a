//! Login triggers (PostgreSQL 17 and later): they run before we can say anything, and may write.

use crate::support::{Folder, PgBouncer, Postgres, majors_where, sample};

use super::{check, watch};

/// As the manual's own example: it writes a line for each login, and leaves a temporary table.
const TRIGGER: &str = "
    CREATE TABLE public.user_login_log (\"user\" text, \"session_start\" timestamptz);
    CREATE FUNCTION init_session() RETURNS event_trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
    BEGIN
      IF pg_is_in_recovery() THEN RETURN; END IF;
      CREATE TEMP TABLE session_storage (x float, y integer);
      EXECUTE format('ALTER TABLE session_storage OWNER TO %I', session_user);
      INSERT INTO @table@ VALUES (session_user, current_timestamp);
    END $$;
    CREATE EVENT TRIGGER init_session ON login EXECUTE FUNCTION init_session();
    ALTER EVENT TRIGGER init_session ENABLE ALWAYS;";

fn server(major: u32, table: &str) -> Postgres {
    let server = Postgres::builder(major).start();
    server.create_monitor_role();
    server.sql("postgres", &TRIGGER.replace("@table@", table));
    server
}

fn versions() -> Vec<u32> {
    majors_where(|major| major >= 17)
}

#[test]
fn a_login_trigger_that_writes_lets_us_in() {
    for major in versions() {
        let server = server(major, "public.user_login_log");
        server.sql("postgres", "CREATE DATABASE other");
        let replica = server.replica();
        for server in [&server, &replica] {
            let pgvigil = watch(&server.url("pgvigil", "postgres"), "");
            let text = pgvigil.scrape();
            assert_eq!(sample(&text, "pg_up", &[]), Some(1.0), "{major}\n{}", pgvigil.stderr());
            assert_eq!(sample(&text, "pgvigil_session_pooled", &[]), Some(0.0), "{major}");
        }
        let logins = "SELECT count(*) > 0 FROM user_login_log WHERE \"user\" = 'pgvigil'";
        assert_eq!(server.sql("postgres", logins), "t", "{major}");
    }
}

/// What cannot be overridden has a remedy: a pooler's login is not ours, and the role is made to read only.
#[test]
fn what_keeps_us_out_is_told_with_its_remedy() {
    for major in versions() {
        let server = server(major, "public.user_login_log");
        let pooler = PgBouncer::start(&server, "transaction", "server_login_retry = 1");
        let url = pooler.url("pgvigil", "postgres");
        let (code, told) = check(&url);
        assert_eq!(code, Some(1), "{told}");
        let remedy = "run ALTER ROLE \"pgvigil\" RESET default_transaction_read_only;";
        assert!(told.contains(remedy), "{told}");
        server.sql("postgres", &remedy["run ".len()..]);
        let pgvigil = watch(&url, "");
        crate::support::eventually(super::PATIENCE, "the pooler tries again", || {
            sample(&pgvigil.scrape(), "pg_up", &[]) == Some(1.0)
        });
    }
}

/// Who writes without naming the schema relies on everybody's search_path: our role has another.
#[test]
fn a_trigger_that_finds_no_table_says_which() {
    for major in versions() {
        let server = server(major, "user_login_log");
        let (code, told) = check(&server.url("pgvigil", "postgres"));
        assert_eq!(code, Some(1), "{told}");
        assert!(
            told.contains("relation \"user_login_log\" does not exist") && told.contains("public.user_login_log"),
            "{told}"
        );
    }
}

/// The probe comes in too, as an application does.
#[test]
fn a_login_trigger_that_writes_lets_the_probe_in() {
    for major in versions() {
        let server = server(major, "public.user_login_log");
        let folder = Folder::new("surroundings", "TERM");
        let url = server.url("pgvigil_probe", "postgres");
        let file = folder.write(
            "pgvigil.yaml",
            &format!("targets: [{{name: way, probe: {{primary: {{url: \"{url}\"}}, paths: [{{direct: {{}}}}]}}}}]\n"),
        );
        let mut command = std::process::Command::new(super::BINARY);
        command.args(["probe", "--rounds", "2", "--json", "--config"]).arg(file).env_clear();
        let output = command.output().expect("running pgvigil");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let results = told["results"].as_array().cloned().unwrap_or_default();
        assert!(
            !results.is_empty() && results.iter().all(|line| line["errors"] == 0),
            "{major}: {told:#}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
