//! `cargo run -p pgvigil-tools --bin pgvigil-tools -- boards`, in the repository's folder: writes `dashboards/*.json`.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use pgvigil_tools::{boards, grafana};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["boards"] if !Path::new(boards::FOLDER).is_dir() => {
            Err(format!("no folder {} here: run this in the repository's folder", boards::FOLDER).into())
        }
        ["boards"] => write_dashboards(),
        _ => Err("usage: cargo run --locked -p pgvigil-tools --bin pgvigil-tools -- boards".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Files that are right already are left as they are, so that nothing is built anew because of them.
fn write_dashboards() -> Result<(), Box<dyn Error>> {
    for board in boards::written()? {
        let (file, json) = (Path::new("dashboards").join(board.file()), grafana::json(&board));
        let told = |error| format!("{}: {error}", file.display());
        if fs::read_to_string(&file).is_ok_and(|present| present == json) {
            continue;
        }
        fs::write(&file, json).map_err(told)?;
        println!("{}", file.display());
    }
    Ok(())
}
