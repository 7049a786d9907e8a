//! The image: what its Dockerfile runs is run in a clean folder. `scripts/check-image` asks the image itself, where there is Docker.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use super::{clean_copy, succeeded};
use crate::support::{Folder, Pgvigil};

/// What was promised for the image; the layers below the program have 2 MB.
const LARGEST: u64 = 20_000_000 - 2_000_000;

/// Docker's word for this machine.
fn machine() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[test]
fn the_dockerfile_builds_with_the_script_and_runs_as_nobody() {
    let text = fs::read_to_string("Dockerfile").expect("Dockerfile").replace("\\\n", " ");
    let has = |begins: &str, holds: &str| text.lines().any(|line| line.starts_with(begins) && line.contains(holds));
    assert!(has("RUN ", "scripts/build-release /out \"$TARGETARCH\" static"));
    assert!(has("USER ", "65532:65532"));
    assert!(has("HEALTHCHECK ", r#"CMD ["/pgvigil", "check", "--health"]"#));
    assert!(has("ENTRYPOINT ", r#"["/pgvigil"]"#));
    assert!(has("ARG ", concat!("VERSION=", env!("CARGO_PKG_VERSION"))));
}

/// What the script asks of Docker, by one that only writes it down.
#[test]
fn a_release_names_the_digests_of_the_images_it_is_made_from() {
    let folder = Folder::new("digests", "TERM");
    let (asked, digest) = (folder.path().join("asked"), format!("sha256:{}", "0".repeat(64)));
    let docker = folder.write(
        "docker",
        &format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >>{asked}\nif [ \"$2\" = imagetools ]; then echo {digest}; exit; fi\n\
             while [ \"$1\" != --metadata-file ]; do shift; done\necho '{{\"containerimage.digest\": \"{digest}\"}}' >\"$2\"\n",
            asked = asked.display()
        ),
    );
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).expect("a program");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").expect("PATH"));
    let mut release = Command::new("scripts/release-image");
    let said = succeeded(release.args(["registry.example/pgvigil", "--push"]).env("PATH", path)).stdout;
    assert_eq!(String::from_utf8_lossy(&said), format!("registry.example/pgvigil@{digest}\n"));
    let asked = fs::read_to_string(asked).expect("what was asked");
    for (argument, image) in [("BUILDER", "rust:"), ("BASE", "gcr.io/distroless/static-debian12:nonroot")] {
        let begins = format!("{argument}={image}");
        let pinned = asked.lines().find(|line| line.starts_with(&begins)).expect(argument);
        assert!(pinned.ends_with(&format!("@{digest}")), "{pinned}");
    }
}

#[test]
#[ignore = "long: make test-all"]
fn its_program_needs_nothing_around_it() {
    let folder = Folder::new("image", "TERM");
    let source = clean_copy(&folder, ".dockerignore");
    let out = folder.path().join("out");
    let mut build = Command::new("scripts/build-release");
    build.current_dir(&source).arg(&out).args([machine(), "static"]).env_remove("CARGO_TARGET_DIR");
    succeeded(&mut build);
    let program = out.join("pgvigil");
    let size = fs::metadata(&program).expect("the program").len();
    println!("the program of the image has {size} bytes");
    assert!(size < LARGEST, "{size} bytes");
    let headers = succeeded(Command::new("readelf").args(["-lWd"]).arg(&program)).stdout;
    let headers = String::from_utf8_lossy(&headers);
    assert!(!headers.contains("INTERP") && !headers.contains("(NEEDED)"), "{headers}");
    let pgvigil =
        Pgvigil::start(&program, &[], &[("PGVIGIL_POSTGRES_URL", "postgresql://pgvigil@127.0.0.1:1/postgres")]);
    let mut check = Command::new(&program);
    succeeded(check.args(["check", "--health"]).env("PGVIGIL_LISTEN", pgvigil.address().to_string()));
    assert!(pgvigil.scrape().contains("pgvigil_build_info"));
    assert!(pgvigil.stop().success());
}
