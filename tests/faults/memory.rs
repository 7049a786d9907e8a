//! Promise 20, in memory: a password is there as often as it is needed, and no core is written.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Folder, Pgvigil};

use super::{BINARY, figure, millis, newest, server};

/// Each form has a password of its own.
const FORMS: [&str; 5] = ["AsAKey", "InAFile", "InAUrl", "InAUrlsFile", "InAVariable"];

/// The settings in force, a login of the quick lane and one of the slow lane; and what a login had on its way.
const COPIES: usize = 5;

/// What all of them begin with.
const BEGINNING: &[u8] = b"Un1que";

fn password(form: &str) -> String {
    format!("Un1que{form}0fThisTest")
}

fn settings(folder: &Folder, port: u16) -> String {
    let place = |user: &str| format!("host: 127.0.0.1, port: {port}, dbname: postgres, user: {user}");
    let url = |user: &str| format!("postgresql://{user}:{}@127.0.0.1:{port}/postgres", password(user));
    let targets = FORMS.map(|form| {
        let keys = match form {
            "AsAKey" => format!("{}, password: {}", place(form), password(form)),
            "InAFile" => {
                format!("{}, password_file: {}", place(form), folder.write("password", &password(form)).display())
            }
            "InAUrl" => format!("url: \"{}\"", url(form)),
            "InAUrlsFile" => format!("url_file: {}", folder.write("url", &url(form)).display()),
            _ => format!("{}, password: \"${{VARIABLE}}\"", place(form)),
        };
        format!("  - {{name: {form}, postgres: {{{keys}}}}}\n")
    });
    format!("targets:\n{}", targets.concat())
}

/// All that is in its memory and can be read, without what it was started with.
fn memory(pid: u32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("its maps");
    let mut memory = File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw") && !line.ends_with("[stack]")) {
        let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).expect("an address"));
        memory.seek(SeekFrom::Start(from)).expect("a place in memory");
        let mut part = vec![0; (to - from) as usize];
        // What was unmapped meanwhile holds nothing.
        if memory.read_exact(&mut part).is_ok() {
            all.extend(part);
        }
    }
    all
}

#[test]
fn p20_a_password_is_in_memory_as_often_as_needed() {
    let limit = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: limit.maximum, ..limit }).expect("a higher limit");
    let (server, folder) = (server(newest()), Folder::new("settings", "TERM"));
    for form in FORMS {
        let create = format!("CREATE ROLE \"{form}\" LOGIN PASSWORD '{}' IN ROLE pg_monitor", password(form));
        server.sql("postgres", &create);
    }
    let file = folder.write("pgvigil.yaml", &settings(&folder, server.port()));
    let variable = password("InAVariable");
    let args = ["--config", &*file.display().to_string()];
    let pgvigil = Pgvigil::start(BINARY, &args, &[("VARIABLE", &variable)]);
    for _ in 0..3 {
        let page = pgvigil.scrape();
        FORMS
            .iter()
            .for_each(|form| assert!(page.contains(&format!("pg_up{{target=\"{form}\"}} 1")), "{form}: {page}"));
    }
    // The files are looked at for changes meanwhile.
    millis(6000);
    let memory = memory(pgvigil.pid());
    let begin = memory.windows(BEGINNING.len()).enumerate().filter(|(_, part)| *part == BEGINNING);
    let found: Vec<_> = begin.map(|(at, _)| &memory[at..]).collect();
    for form in FORMS {
        let password = password(form);
        let copies = found.iter().filter(|rest| rest.starts_with(password.as_bytes())).count();
        figure(20, &format!("copies of a password in memory, given as {form}"), copies);
        assert!((1..=COPIES).contains(&copies), "{form}: {copies} copies");
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", pgvigil.pid())).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit on cores");
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
}
