//! The archives, the Debian package and the rpm, as the tools that read them list what is inside.

use std::{env::consts::ARCH, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::{clean_copy, succeeded};
use crate::support::{Folder, system_program};

/// What every archive has.
const ARCHIVED: [&str; 8] = [
    "/pgvigil",
    "/man/pgvigil.1",
    "/completions/pgvigil.bash",
    "/completions/pgvigil.zsh",
    "/completions/pgvigil.fish",
    "/systemd/pgvigil.service",
    "/rules/postgres.yaml",
    "/dashboards/overview.json",
];

/// What both packages install, with the rights.
const INSTALLED: [&str; 9] = [
    "-rwxr-xr-x /usr/bin/pgvigil",
    "-rw-r----- /etc/pgvigil/pgvigil.yaml",
    "-rw-r----- /etc/default/pgvigil",
    "-rw-r--r-- /usr/lib/systemd/system/pgvigil.service",
    "-rw-r--r-- /usr/lib/sysusers.d/pgvigil.conf",
    "-rw-r--r-- /usr/share/man/man1/pgvigil-check.1",
    "-rw-r--r-- /usr/share/bash-completion/completions/pgvigil",
    "-rw-r--r-- /usr/share/fish/vendor_completions.d/pgvigil.fish",
    "-rw-r--r-- /usr/share/doc/pgvigil/examples/pgvigil.yaml",
];

fn printed(command: &mut Command) -> String {
    String::from_utf8(succeeded(command).stdout).expect("text")
}

/// Docker's and Debian's word for this machine.
fn machine() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[test]
#[ignore = "long: make test-all"]
fn archives_and_packages_hold_it_all() {
    let folder = Folder::new("release", "TERM");
    let (source, dist) = (clean_copy(&folder, ".gitignore"), folder.path().join("dist"));
    let mut make = Command::new("scripts/release-binaries");
    println!("{}", printed(make.current_dir(&source).arg(&dist).env_remove("CARGO_TARGET_DIR")));
    let (version, machine) = (env!("CARGO_PKG_VERSION"), machine());
    for linked in ["", "-static"] {
        holds_all(&dist.join(format!("pgvigil-{version}-linux-{machine}{linked}.tar.gz")), &folder);
    }
    let made = |name: String| {
        let package = dist.join(name);
        assert!(package.exists(), "{} is missing: run scripts/install-servers packages", package.display());
        package
    };
    debian_lists_it(&made(format!("pgvigil_{version}-1_{machine}.deb")));
    rpm_lists_it(&made(format!("pgvigil-{version}-1.{ARCH}.rpm")), &folder);
}

/// The program of each archive runs here, whatever it is linked with.
fn holds_all(archive: &Path, folder: &Folder) {
    let files = printed(Command::new("tar").arg("-tzf").arg(archive));
    for file in ARCHIVED {
        assert!(files.lines().any(|line| line.ends_with(file)), "{file}\n{files}");
    }
    succeeded(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder.path()));
    let name = archive.file_name().expect("a name").to_string_lossy();
    let program = folder.path().join(name.trim_end_matches(".tar.gz")).join("pgvigil");
    assert!(printed(Command::new(program).arg("--version")).contains(env!("CARGO_PKG_VERSION")), "{name}");
}

/// Each of the files is in a list of lines that begin with rights and end with a path.
fn lists(package: &Path, lines: &str, files: &[&str]) {
    for file in files {
        let (rights, path) = file.split_once(' ').expect("two words");
        let has = |line: &str| {
            let listed = line.split_whitespace().last().unwrap_or_default().trim_start_matches('.');
            line.starts_with(rights) && listed.trim_end_matches(".gz") == path
        };
        assert!(lines.lines().any(has), "{}: {file}\n{lines}", package.display());
    }
}

fn debian_lists_it(package: &Path) {
    let files = printed(Command::new("dpkg-deb").arg("--contents").arg(package));
    lists(package, &files, &INSTALLED);
    lists(package, &files, &["-rw-r--r-- /usr/share/zsh/vendor-completions/_pgvigil"]);
}

/// The files, which of them are settings, what it needs, and that its scriptlets are ours; the program inside is the one of the archive.
fn rpm_lists_it(package: &Path, folder: &Folder) {
    let ask = |query: &[&str]| printed(Command::new(system_program("rpm")).arg("-qp").args(query).arg(package));
    let files = ask(&["-lv"]);
    lists(package, &files, &INSTALLED);
    lists(package, &files, &["-rw-r--r-- /usr/share/zsh/site-functions/_pgvigil"]);
    assert_eq!(ask(&["--configfiles"]), "/etc/default/pgvigil\n/etc/pgvigil/pgvigil.yaml\n");
    let needs = ask(&["--requires"]);
    for need in ["systemd", "libc.so.6"] {
        assert!(needs.lines().any(|line| line.starts_with(need)), "{need}\n{needs}");
    }
    let scripts = ask(&["--scripts"]);
    for name in ["post", "preun", "postun"] {
        let script = fs::read_to_string(Path::new("deploy/rpm").join(name)).expect("a scriptlet");
        assert!(scripts.contains(script.trim()), "{name}\n{scripts}");
    }
    let program = format!("pgvigil-{}-linux-{}/pgvigil", env!("CARGO_PKG_VERSION"), machine());
    let digest = printed(folder.command("sha256sum").arg(program));
    let digest = digest.split(' ').next().unwrap_or_default();
    let dump = ask(&["--dump"]);
    assert!(
        dump.lines().any(|line| line.starts_with("/usr/bin/pgvigil ") && line.contains(digest)),
        "{digest}\n{dump}"
    );
}

/// What the scriptlets do when it is installed, updated and removed, by programs that only write down what they are asked.
#[test]
fn scriptlets_of_the_rpm_look_after_user_and_service() {
    let user = "systemd-sysusers pgvigil.conf\nchgrp pgvigil /etc/pgvigil/pgvigil.yaml\n";
    let cases = [
        ("post", "1", format!("{user}systemctl --no-reload preset pgvigil.service\n")),
        ("post", "2", user.to_owned()),
        ("preun", "1", String::new()),
        ("preun", "0", "systemctl --no-reload disable --now pgvigil.service\n".to_owned()),
        ("postun", "1", "systemctl try-restart pgvigil.service\n".to_owned()),
        ("postun", "0", String::new()),
    ];
    for (script, left, expected) in cases {
        let folder = Folder::new("scriptlets", "TERM");
        let asked = folder.write("asked", "");
        for program in ["systemd-sysusers", "chgrp", "systemctl"] {
            let text = format!("#!/bin/sh\necho {program} \"$@\" >>{}\n", asked.display());
            let program = folder.write(program, &text);
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
        }
        let script = Path::new("deploy/rpm").join(script);
        succeeded(Command::new("/bin/sh").arg(&script).arg(left).env("PATH", folder.path()));
        assert_eq!(fs::read_to_string(asked).expect("what was asked"), expected, "{} {left}", script.display());
    }
}
