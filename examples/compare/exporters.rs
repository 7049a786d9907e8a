//! The exporters that are compared: how each is started, and where its programs are looked for.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use pgvigil::collector::catalogue::Catalogue;

use crate::support::{Folder, Postgres, eventually, free_port, http, process::Process};

/// The database that every exporter logs in to.
pub const DATABASE: &str = "d1";

/// What postgres_exporter is to ask beyond its defaults.
const QUERIES: &str = include_str!("queries.yaml");

/// Caps that cut nothing.
pub const RAISED: &str = "max_bytes: 268435456
max_samples: 5000000
collectors:
  tables: {max_rows: 1000000}
  index_usage: {max_rows: 1000000}
  table_sizes: {max_rows: 1000000}
  vacuum_tables: {max_rows: 1000000}
  index_verdicts: {max_rows: 1000000}
";

/// What another exporter asks at each scrape, of what pgvigil asks more rarely; and the sizes among it. Texts of statements, which do not change,
/// are on the page too, and asked every ten minutes.
pub struct Same {
    pub peer: &'static str,
    pub asked: &'static [&'static str],
    pub sizes: &'static [&'static str],
}

/// postgres_exporter knows nothing of when a table is due for vacuum, and measures the main file of a table alone; of indexes pg_exporter
/// has totals only.
pub const SAME: [Same; 2] = [
    Same {
        peer: "postgres_exporter",
        asked: &["slow_queries", "settings", "tables", "index_usage"],
        sizes: &["main_sizes", "database_size"],
    },
    Same {
        peer: "pg_exporter",
        asked: &["slow_queries", "settings", "tables", "vacuum_tables"],
        sizes: &["table_sizes", "database_size"],
    },
];

const TEXTS: &str = "statement_texts";

/// Collectors of the comparison's own.
const COLLECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/compare/collectors");

/// The shortest `ttl` of a collector that visits databases.
const SHORTEST: Duration = Duration::from_secs(60);

/// Scraped so often, everything is due at each scrape.
pub const OFTEN: Duration = Duration::from_secs(63);

/// These slow collectors of the server anew at each scrape, uncut, and no others but texts.
pub fn only(asked: &[&str]) -> String {
    let catalogue = Catalogue::load(Some(Path::new(COLLECTORS))).unwrap_or_else(|problems| panic!("{problems}"));
    let slow = catalogue.collectors.iter().filter(|collector| collector.source.is_sql() && !collector.is_quick());
    let settings =
        slow.map(|collector| (&collector.name, asked.contains(&collector.name.as_str()))).map(|(name, is_asked)| {
            match is_asked {
                true if RAISED.contains(&format!(" {name}:")) => {
                    format!("  {name}: {{ttl: {SHORTEST:?}, max_rows: 1000000}}\n")
                }
                true => format!("  {name}: {{ttl: {SHORTEST:?}}}\n"),
                false if name == TEXTS => format!("  {name}: {{enabled: true}}\n"),
                false => format!("  {name}: {{enabled: false}}\n"),
            }
        });
    format!("collectors:\n{}", settings.collect::<String>())
}

/// One exporter, and how it is started.
pub struct Exporter {
    pub name: &'static str,
    /// Its own role on the server.
    pub role: &'static str,
    pub program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    address: SocketAddr,
    pub folder: Folder,
}

/// One that runs.
pub struct Running<'a> {
    exporter: &'a Exporter,
    pub process: Process,
}

impl Exporter {
    fn new(name: &'static str, role: &'static str, program: &Path) -> Exporter {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (arguments, variables, folder) = (Vec::new(), Vec::new(), Folder::new("exporter", "TERM"));
        Exporter { name, role, program: program.to_owned(), arguments, variables, address, folder }
    }

    fn with(mut self, arguments: &str) -> Exporter {
        self.arguments.extend(arguments.split_whitespace().map(str::to_owned));
        self
    }

    /// pgvigil with these settings of its collectors, in the databases that are open to it; if `like_others`, in those with the tables
    /// and with the comparison's own collectors.
    pub fn pgvigil(
        name: &'static str,
        role: &'static str,
        program: &Path,
        server: &Postgres,
        settings: &str,
        like_others: bool,
    ) -> Exporter {
        let exporter = Exporter::new(name, role, program);
        let (databases, collectors) = match like_others {
            true => ("databases: {include: [\"d*\"]}, ", format!("--collectors {COLLECTORS}")),
            false => ("", String::new()),
        };
        let url = server.url(role, DATABASE);
        let target = format!("targets: [{{name: bench, postgres: {{{databases}url: \"{url}\"}}}}]\n");
        let file = exporter.folder.write("pgvigil.yaml", &(target + settings));
        let listen = exporter.address;
        exporter.with(&format!("serve --log-level error --listen {listen} --config {} {collectors}", file.display()))
    }

    /// postgres_exporter with its defaults, and tables, indexes, sizes and statements with their texts.
    pub fn postgres_exporter(program: &Path, server: &Postgres, databases: usize) -> Exporter {
        let mut exporter = Exporter::new("postgres_exporter", "postgres_exporter", program);
        let url = server.url(exporter.role, DATABASE) + "?sslmode=disable";
        exporter.variables.push(("DATA_SOURCE_NAME", url));
        let file = exporter.folder.write("queries.yaml", QUERIES);
        let all = if databases > 1 { "--auto-discover-databases" } else { "" };
        let listen = exporter.address;
        exporter.with(&format!("--web.listen-address={listen} --extend.query-path={} {all}", file.display()))
    }

    /// pg_exporter with its collectors of the same things.
    pub fn pg_exporter(program: &Path, server: &Postgres) -> Exporter {
        const COLLECTORS: [&str; 9] =
            ["default", "activity", "database", "vacuum", "locks", "stat", "replication", "index", "statements"];
        let exporter = Exporter::new("pg_exporter", "exporter_in_rust", program);
        let url = server.url(exporter.role, DATABASE) + "?sslmode=disable";
        let (port, collectors) =
            (exporter.address.port(), COLLECTORS.map(|name| format!("--collector.{name}")).join(" "));
        exporter.with(&format!("--dsn {url} --listen 127.0.0.1 --port {port} --statements.top-n 100 {collectors}"))
    }

    /// Starts it and waits until it answers at all.
    pub fn start(&self) -> Running<'_> {
        let mut command = self.folder.logged_command(&self.program);
        command.args(&self.arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start(&mut command);
        eventually(Duration::from_secs(20), "the exporter listens", || {
            assert!(process.ended().is_none(), "{} did not start:\n{}", self.name, self.folder.log());
            std::net::TcpStream::connect(self.address).is_ok()
        });
        Running { exporter: self, process }
    }
}

impl Running<'_> {
    /// One page.
    ///
    /// # Errors
    /// Says why there is none, or that it does not say that the server is up.
    pub fn scrape(&self) -> Result<String, String> {
        let failed = |why: &str| format!("{} {why}:\n{}", self.exporter.name, self.exporter.folder.log());
        let answer = http::get(self.exporter.address, "/metrics", &[]).map_err(|error| failed(&error.to_string()))?;
        let page = answer.text();
        let is_up = |line: &str| line.starts_with("pg_up") && line.ends_with(" 1");
        if page.lines().any(is_up) { Ok(page) } else { Err(failed("does not reach the server")) }
    }
}

/// A program in one of the folders, or on the path.
pub fn find(name: &str, folder: Option<&Path>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = folder.map(Path::to_owned).into_iter().chain(env::split_paths(&path));
    places.map(|place| place.join(name)).find(|program| program.is_file())
}
