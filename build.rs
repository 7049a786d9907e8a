//! Packs the dashboards for the binary; and builds again when a file appears in or leaves what is shipped, which the compiler by
//! itself does not see.

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

fn main() -> Result<(), Box<dyn Error>> {
    for folder in ["collectors", "dashboards", "rules"] {
        println!("cargo::rerun-if-changed={folder}");
    }
    pack("dashboards", &Path::new(&env::var("OUT_DIR")?).join("dashboards.gz"))
}

/// The JSON files of a folder in the order of their names, in one file: of each its name and its text, both ended by a zero byte. The same
/// files give the same bytes.
fn pack(folder: &str, into: &Path) -> Result<(), Box<dyn Error>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut packed = GzEncoder::new(File::create(into)?, Compression::best());
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        packed.write_all(name.as_bytes())?;
        packed.write_all(b"\0")?;
        packed.write_all(&fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?)?;
        packed.write_all(b"\0")?;
    }
    packed.finish()?;
    Ok(())
}
