//! A fresh PostgreSQL data folder for each version, made once per process and copied: initdb takes a second or more.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{Folder, PASSWORD, place::postgres_program};

/// Small, quick, careless of power failures, and all its memory in its folder.
const CONFIG: &str = "
listen_addresses = '127.0.0.1'
shared_preload_libraries = 'pg_stat_statements'
password_encryption = 'scram-sha-256'
max_connections = 60
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
fsync = off
full_page_writes = off
log_checkpoints = off
";

/// Passwords over TCP; the socket is the tests' own way in, and its folder is closed to others.
const ACCESS: &str = "
local all all trust
local replication all trust
host all all 127.0.0.1/32 scram-sha-256
";

/// One per version; who asks while another makes it waits for that one.
type Templates = HashMap<u32, Arc<OnceLock<Arc<Folder>>>>;

static TEMPLATES: Mutex<Option<Templates>> = Mutex::new(None);

/// The folder that holds `data` for this version. A guardian removes it when the process ends.
pub fn template(major: u32) -> Arc<Folder> {
    let cell = {
        let mut templates = TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(templates.get_or_insert_default().entry(major).or_default())
    };
    Arc::clone(cell.get_or_init(|| Arc::new(make(major))))
}

/// The same, made for one server alone.
pub fn made(major: u32) -> Arc<Folder> {
    Arc::new(make(major))
}

/// Removes the templates now, for a process that starts no more servers.
pub fn clear() {
    drop(TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner).take());
}

fn make(major: u32) -> Folder {
    let folder = Folder::for_server(&format!("template{major}"), "KILL");
    let password = folder.write("password", PASSWORD);
    let mut initdb = folder.logged_command(postgres_program(major, "initdb"));
    initdb
        .args(["-D", "data", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "--data-checksums"])
        .args(["--auth-host=scram-sha-256", "--pwfile"])
        .arg(password);
    let status = initdb.status().expect("running initdb");
    assert!(status.success(), "initdb {major} failed:\n{}", folder.log());
    let file = folder.path().join("data/postgresql.conf");
    let config = fs::read_to_string(&file).expect("initdb's postgresql.conf");
    folder.write("data/postgresql.conf", &(config + CONFIG));
    folder.write("data/pg_hba.conf", ACCESS);
    folder
}

/// Copies a data folder into `folder`, as its user.
pub fn copy(folder: &Folder, data: &Path, name: &str) {
    let status = folder.logged_command("/bin/cp").args(["-a", "--reflink=auto"]).arg(data).arg(name).status();
    assert!(status.expect("running cp").success(), "copying {}:\n{}", data.display(), folder.log());
}
