//! Every message a user can meet: a broken input, and beside it exactly what is said about it.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use pgvigil::{access::WebAccess, collector::catalogue::Catalogue, schema::problem::Problems, settings::Settings};

/// Passwords in the inputs contain one of these; no message may.
const SECRETS: [&str; 4] = ["s3c", "s3/", "s3 c", "s3%"];

#[test]
fn broken_collectors_are_told() {
    compare("collectors", |input| {
        let files = if input.is_dir() { children(input) } else { vec![input.to_owned()] };
        let files: Vec<_> = files.iter().map(|path| (name(path), read(path))).collect();
        Catalogue::from_files(files.iter().map(|(name, text)| (name.as_str(), text.as_str()))).err()
    });
}

#[test]
fn broken_settings_are_told_without_their_secrets() {
    let good = ["tiny.yaml", "everywhere.yaml"].map(|name| (name, read(&Path::new("tests/good").join(name))));
    let good = Catalogue::from_files(good.iter().map(|(name, text)| (*name, text.as_str())));
    let good = good.unwrap_or_else(|problems| panic!("{problems}"));
    let env = |name: &str| (name == "SLASHED").then(|| "s3/cret".to_owned());
    compare("settings", |input| {
        let told = good.adjust(Settings::read(&name(input), &read(input), &env)).err();
        let text = told.as_ref().map(Problems::to_string).unwrap_or_default();
        assert!(!SECRETS.iter().any(|secret| text.contains(secret)), "{}", input.display());
        told
    });
}

#[test]
fn broken_web_configurations_are_told_without_their_secrets() {
    compare("web", |input| {
        let told = WebAccess::load(Some(input), None).err();
        let text = told.as_ref().map(Problems::to_string).unwrap_or_default();
        assert!(
            ![SECRETS[0], "$2y$10$a", "$2y$10$z"].iter().any(|secret| text.contains(secret)),
            "{}",
            input.display()
        );
        told
    });
}

/// What keeps a file from being read at all: it is no text, it is a folder, another has its name.
#[test]
fn broken_folders_are_told() {
    compare("folders", |input| Catalogue::load(Some(input)).err());
}

#[test]
fn an_oversized_file_is_told() {
    let text = "# long\n".repeat(1 << 18);
    let told = Catalogue::from_files([("x.yaml", text.as_str())]).expect_err("too long").to_string();
    assert_eq!(told, "x.yaml:1:1: the file is larger than 1 MiB: split it");
}

/// Compares what is told about each input of a folder with the file beside it; `UPDATE_EXPECT=1` writes that.
fn compare(folder: &str, told: impl Fn(&Path) -> Option<Problems>) {
    let folder = Path::new("tests/bad").join(folder);
    let (expected, inputs): (BTreeSet<_>, BTreeSet<_>) =
        children(&folder).into_iter().partition(|path| path.extension().is_some_and(|e| e == "expected"));
    let mut wrong = Vec::new();
    for input in &inputs {
        let told = told(input).map(|problems| format!("{problems}\n")).unwrap_or_default();
        let beside = input.with_extension("expected");
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&beside, &told).expect("the folder can be written");
        }
        let wanted = fs::read_to_string(&beside).unwrap_or_default();
        if told.is_empty() || told != wanted {
            wrong.push(format!("{}\n--- told\n{told}--- expected\n{wanted}", input.display()));
        }
    }
    let has_input = |path: &&PathBuf| inputs.iter().any(|input| input.with_extension("expected") == **path);
    wrong.extend(expected.iter().filter(|path| !has_input(path)).map(|path| format!("{}: no input", path.display())));
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 rewrites what is expected\n\n{}", wrong.join("\n"));
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a readable file")
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
