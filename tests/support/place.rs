//! Where the servers' programs are, which versions to test, which ports are free.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// The PostgreSQL versions to test: `PGVIGIL_TEST_PG` (comma-separated), 15 and 18 by default.
pub fn majors() -> Vec<u32> {
    let list = env::var("PGVIGIL_TEST_PG").unwrap_or_else(|_| "15,18".to_owned());
    list.split(',').map(|major| major.trim().parse().expect("PGVIGIL_TEST_PG lists versions: 15,18")).collect()
}

/// The versions to test of those that have something; of 15 and 18 where none was chosen that has it, so that a test is never empty.
pub fn majors_where(has: impl Fn(u32) -> bool) -> Vec<u32> {
    let chosen: Vec<_> = majors().into_iter().filter(|major| has(*major)).collect();
    if chosen.is_empty() { [15, 18].into_iter().filter(|major| has(*major)).collect() } else { chosen }
}

/// Whether tests take their long form, with more rounds and versions: `PGVIGIL_TEST_LONG=1`. A test that has no quick form is ignored.
pub fn is_long() -> bool {
    env::var("PGVIGIL_TEST_LONG").is_ok_and(|value| value == "1")
}

/// A program of PostgreSQL `major`, such as `postgres`.
pub fn postgres_program(major: u32, name: &str) -> PathBuf {
    present(servers().join(format!("postgresql-{major}/bin/{name}")), &major.to_string())
}

/// A client's program: `psql`, `pgbench`.
pub fn client_program(name: &str) -> PathBuf {
    present(servers().join("client/bin").join(name), "")
}

/// A program that its package puts on the path, or where a plain user's path does not reach.
pub fn system_program(name: &str) -> PathBuf {
    any_program(&[name])
}

/// The same of a program that has several names.
pub fn any_program(names: &[&str]) -> PathBuf {
    find_program(names).unwrap_or_else(|| panic!("{} is not installed: run scripts/install-servers", names[0]))
}

/// The same, where one can do without.
pub fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let mut candidates = places.flat_map(|place| names.iter().map(move |name| place.join(name)));
    candidates.find(|program| program.exists())
}

/// A program beside moto, a local S3: `python`, which finds it.
pub fn moto_program(name: &str) -> PathBuf {
    present(servers().join("moto/bin").join(name), "moto")
}

/// A program that judges files: `hadolint`, `shellcheck`, `check-jsonschema`.
pub fn lint_program(name: &str) -> PathBuf {
    present(servers().join("lint/bin").join(name), "")
}

/// A program of those that tests of the chart need: `3/helm`, `4/helm`, `bin/kubernetes-validate`; or `node`, npm's packages.
pub fn helm_program(name: &str) -> PathBuf {
    present(servers().join("helm").join(name), "helm")
}

/// The Prometheus of the package, which is the oldest that we support, and today's; promtool and Alertmanager's amtool go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    Oldest,
    Newest,
}

impl Generation {
    /// Building today's programs takes minutes, so the quick form tests the oldest alone.
    pub fn tested() -> &'static [Generation] {
        if is_long() { &[Generation::Oldest, Generation::Newest] } else { &[Generation::Oldest] }
    }

    /// `prometheus`, `promtool`, `amtool`.
    pub fn program(self, name: &str) -> PathBuf {
        let extra = if name == "prometheus" { name } else { "promtool" };
        match self {
            Generation::Oldest => system_program(name),
            Generation::Newest => present(servers().join("prometheus-3").join(name), extra),
        }
    }
}

/// pint, which judges rules.
pub fn pint_program() -> PathBuf {
    present(servers().join("pint/pint"), "pint")
}

fn servers() -> PathBuf {
    env::var_os("PGVIGIL_SERVERS").map_or_else(|| "/var/tmp/pgvigil-servers".into(), PathBuf::from)
}

fn present(program: PathBuf, major: &str) -> PathBuf {
    assert!(program.exists(), "{} is missing: run scripts/install-servers {major}", program.display());
    program
}

/// A TCP port on which nobody listens, never the same twice in this process. It lies below the range from which the
/// system takes ports for outgoing connections, so that it is still free after a server's restart.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Test processes that run side by side begin far apart.
    let start = process::id().wrapping_mul(7919);
    for _ in 0..COUNT {
        let step = u32::from(TAKEN.fetch_add(1, Ordering::Relaxed));
        let offset = start.wrapping_add(step) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).expect("below COUNT");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free TCP port");
}

/// Where servers have their folders: in memory, where that is large enough. A data folder has a thousand files, and ext4 looks long for each
/// one's place when many were removed just before.
pub fn server_folders() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let is_large = |stat: rustix::fs::StatVfs| stat.f_bavail * stat.f_frsize >= 4 << 30;
    if rustix::fs::statvfs(memory).is_ok_and(is_large) { memory.to_owned() } else { env::temp_dir() }
}

/// The user and group that servers run as: PostgreSQL and PgBouncer refuse root. `None`: our own, which is not root.
pub fn server_user() -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    is_root.then(|| {
        let users = fs::read_to_string("/etc/passwd").expect("the list of users");
        let line = users.lines().find(|line| line.starts_with("postgres:")).expect("a user postgres");
        let id = |field| line.split(':').nth(field).and_then(|id| id.parse().ok()).expect("a numeric id");
        (id(2), id(3))
    })
}
