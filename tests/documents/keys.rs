//! docs/keys.md: every key of every file that people write, as it is declared.

use std::fmt::Write;

use expect_test::expect_file;
use pgvigil::collector::load::CollectorKeys;
use pgvigil::schema::form::Form;
use pgvigil::schema::reader::Keys;
use pgvigil::schema::words;
use pgvigil::settings::load::SettingsKeys;
use pgvigil::settings::web::WebSettings;

const HEAD: &str = "# Keys\n\nYou look up a key: every key of the files that you write, generated from the declarations in the code. \
    In headings, `[]` stands for each item of a list, `*` for any name. A key may be left out unless the table says that it is needed.\n";

/// More words than these are only counted.
const MOST_WORDS: usize = 20;

/// The tables of the maps that stand at a place.
fn push_tables(out: &mut String, place: &str, form: &Form) {
    let shape = match form {
        Form::Map(shape) => shape(),
        Form::List(_, item) => return push_tables(out, &format!("{place}[]"), item),
        Form::Entries(_, _, value) => return push_tables(out, &format!("{place}.*"), value),
        Form::Either(forms) => return forms.iter().for_each(|form| push_tables(out, place, form)),
        _ => return,
    };
    let what = if shape.what.starts_with('`') { String::new() } else { format!(": {}", shape.what) };
    _ = write!(out, "\n### `{place}`{what}\n\n| key | holds | needed | meaning |\n|---|---|---|---|\n");
    for key in &shape.keys {
        let choice = if shape.one_of.contains(&key.name) { "one of these" } else { "no" };
        let (needed, about) = (if key.is_required { "yes" } else { choice }, key.about.replace('|', "\\|"));
        _ = writeln!(out, "| `{}` | {} | {needed} | {about} |", key.name, holds(&key.form));
    }
    shape.keys.iter().for_each(|key| push_tables(out, &format!("{place}.{}", key.name), &key.form));
}

/// What a key holds, in words.
fn holds(form: &Form) -> String {
    match form {
        // What editors take beside the other forms: a value from the environment.
        Form::Pattern(pattern) if pattern.starts_with("^$|") => "`${NAME}`".to_owned(),
        Form::Text | Form::Pattern(_) => "text".to_owned(),
        Form::Whole(least, most) => format!("whole number, {least} to {most}"),
        Form::Number => "number".to_owned(),
        Form::Flag => "`true` or `false`".to_owned(),
        Form::Duration => "duration".to_owned(),
        Form::Word(known) if known.len() > MOST_WORDS => format!("one of {} words", known.len()),
        Form::Word(known) => words::either(words::listed(known.iter().copied()).split(", ")),
        Form::Cell => "text, number or `null`".to_owned(),
        Form::Map(_) => "map".to_owned(),
        Form::List(_, item) => format!("list: {}", holds(item)),
        Form::Entries(_, _, value) => format!("names, each with: {}", holds(value)),
        Form::Either(forms) if forms.iter().all(|form| matches!(form, Form::Map(_))) => "map".to_owned(),
        Form::Either(forms) => forms.iter().map(holds).collect::<Vec<_>>().join(" or "),
    }
}

/// `UPDATE_EXPECT=1 cargo test documents` writes it.
#[test]
fn the_page_is_current() {
    let mut out = HEAD.to_owned();
    for (heading, file, shape) in [
        ("Settings", "pgvigil.yaml", Form::Map(SettingsKeys::shape)),
        ("Web configuration", "web.yaml", Form::Map(WebSettings::shape)),
        ("Collector", "collector.yaml", Form::Map(CollectorKeys::shape)),
    ] {
        _ = write!(out, "\n## {heading}\n");
        push_tables(&mut out, file, &shape);
        out = out.replace(&format!("{file}."), "");
    }
    expect_file!["../../docs/keys.md"].assert_eq(&out);
}
