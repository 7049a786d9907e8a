//! A probe of the shop: what its target holds, and its tables.

use std::path::Path;

use crate::support::Postgres;

/// A probe over every path the demo has.
pub fn holds(primary: &Postgres, replica: &Postgres, redis: &str) -> String {
    format!(
        "{{primary: {{url: \"{}\"}}, write: true, paths: [{{direct: {{}}}}, {{pooled: {{}}}}, {{name: builtin, cached: {{}}}}, \
         {{name: redis, cached: {{redis: {{url: \"{redis}\"}}}}}}, {{name: replica-1, replica: {{port: {}}}}}]}}",
        primary.url("pgvigil_probe", "demo"),
        replica.port()
    )
}

/// Lets its role make its tables. If they are not made, the page says so.
pub fn install(settings: &Path, primary: &Postgres) {
    primary.sql("demo", "GRANT CREATE ON DATABASE demo TO pgvigil_probe");
    let arguments = ["pgvigil", "probe", "--install", "--config", &settings.display().to_string()];
    _ = pgvigil::cli::main(arguments.map(str::to_owned));
}
