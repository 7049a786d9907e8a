//! What is wrong with a runbook as a text: fences that say nothing, statements outside of them, placeholders that nobody knows, values that
//! look as if they were the reader's.

use super::{
    fixtures,
    place::Place,
    text::{self, Block, Runbook, Statement},
};

/// What a fence may say; only SQL and PromQL are run or read.
const LANGUAGES: [&str; 9] = ["sql", "promql", "sh", "console", "yaml", "ini", "json", "text", "diff"];

/// Placeholders of shells and of settings, beside those of SQL.
const IN_TEXT: [&str; 22] = [
    "CLUSTER",
    "COLLECTOR",
    "CONTAINER",
    "DIR",
    "DURATION",
    "FILE",
    "HOST",
    "INSTANCE",
    "KEY",
    "NAME",
    "NAMESPACE",
    "NUMBER",
    "PATH",
    "POD",
    "PORT",
    "REPOSITORY",
    "SIZE",
    "STANZA",
    "TARGET",
    "URL",
    "USER",
    "VALUE",
];

/// With what a statement begins.
const VERBS: [&str; 12] = [
    "ALTER", "ANALYZE", "COMMIT", "CREATE", "DELETE", "DROP", "INSERT", "REINDEX", "ROLLBACK", "SELECT", "UPDATE",
    "VACUUM",
];

/// Statements that are whole with an object and their semicolon: `SHOW POOLS;`.
const SHORT: [&str; 12] = [
    "CHECKPOINT",
    "DISABLE",
    "ENABLE",
    "KILL",
    "PAUSE",
    "RECONNECT",
    "RELOAD",
    "RESET",
    "RESUME",
    "SET",
    "SHOW",
    "TRUNCATE",
];

/// Names that only examples have.
const EXAMPLES: [&str; 11] =
    ["shop", "orders", "order_items", "customers", "mydb", "mytable", "foo", "bar", "db1", "cache1", "app1"];

/// Words for which a placeholder is due.
const BARE: [&str; 9] = ["PID", "GID", "PATH", "HOST", "FILE", "DIR", "NAME", "STANZA", "PORT"];

/// The ends of the integer types, and the seconds of an hour and a day.
const KNOWN_NUMBERS: [u64; 7] =
    [32_767, 2_147_483_647, 2_147_483_648, 4_294_967_295, 9_223_372_036_854_775_807, 3_600, 86_400];

/// Each with the file and its line.
pub fn of(runbook: &Runbook) -> Vec<String> {
    let mut all = Vec::new();
    let mut add = |line: usize, wrong: Vec<String>| {
        all.extend(wrong.into_iter().map(|wrong| format!("{}.md:{line}: {wrong}", runbook.name)));
    };
    for block in &runbook.blocks {
        add(block.line - 1, of_fence(block));
        for (line, text) in (block.line..).zip(block.text.lines()) {
            let is_sql = block.is("sql");
            add(line, unknown(text, is_sql));
            add(line, if is_sql { of_values(text) } else { bare(text) });
        }
        let statements = if block.is("sql") { block.statements() } else { Vec::new() };
        for statement in &statements {
            add(statement.line, of_statement(runbook, statement));
        }
    }
    for (line, code) in runbook.inline() {
        add(line, [unknown(code, false), bare(code), examples(code)].concat());
        if is_statement(code) {
            add(line, vec![format!("`{code}` is a statement: it belongs into a block of its own, where it is tried")]);
        }
    }
    all
}

fn of_fence(block: &Block) -> Vec<String> {
    match LANGUAGES.iter().find(|language| block.is(language)) {
        None => vec![format!("a fence says one of {LANGUAGES:?}, not `{}`", block.info)],
        Some(&"sql") => Place::parse(&block.info).err().into_iter().collect(),
        Some(_) => Vec::new(),
    }
}

fn of_statement(runbook: &Runbook, statement: &Statement) -> Vec<String> {
    let mut all = Vec::new();
    if !statement.text.ends_with(';') && !statement.text.starts_with('\\') {
        all.push(format!("no `;` ends `{}`", statement.text));
    }
    let plain = text::without_comments(&statement.text);
    if words(&plain).any(|word| word == "pg_stat_statements") {
        if !["datname", "dbid"].iter().any(|column| plain.contains(column)) {
            all.push("pg_stat_statements has the statements of all databases: show which it is".to_owned());
        }
        let prose: String = runbook.prose.iter().map(|(_, line)| line.as_str()).collect();
        if !(prose.contains("pg_stat_statements") && prose.contains("database")) {
            all.push("the text does not say that pg_stat_statements is in one database only".to_owned());
        }
    }
    all
}

/// Placeholders that no fixture stands for; outside of SQL there are more.
fn unknown(code: &str, is_sql: bool) -> Vec<String> {
    let is_known = |name: &&str| fixtures::NAMES.contains(name) || !is_sql && IN_TEXT.contains(name);
    let unknown = text::placeholders(code).into_iter().filter(|name| !is_known(name));
    let language = if is_sql { "SQL" } else { "text" };
    unknown
        .map(|name| format!("nothing is known of <{name}> in {language}: tests/rules/runbooks has what is"))
        .collect()
}

/// Of SQL.
fn of_values(line: &str) -> Vec<String> {
    let plain = text::without_comments(line);
    let mut all = [examples(&plain), bare(&plain)].concat();
    let numbers = words(&plain).filter(|word| word.len() > 3 && word.bytes().all(|c| c.is_ascii_digit()));
    let is_round =
        |number: u64| number.is_multiple_of(100) || number.is_multiple_of(1024) || KNOWN_NUMBERS.contains(&number);
    let odd = numbers.filter(|number| !number.parse().is_ok_and(is_round));
    all.extend(odd.map(|number| format!("{number} looks real: write a placeholder")));
    let strings = plain.split('\'').skip(1).step_by(2);
    let real = strings.filter(|text| is_date(text) || is_position(text));
    all.extend(real.map(|text| format!("'{text}' looks real: write a placeholder")));
    all
}

/// Names out of examples, and tables with a schema.
fn examples(code: &str) -> Vec<String> {
    let is_example = |word: &&str| {
        let is_told = code.contains(&format!("public.{word}"));
        (EXAMPLES.contains(word) || word.starts_with("orders_")) && !is_told
    };
    let mut all: Vec<_> = words(code).filter(is_example).map(str::to_owned).collect();
    let tables = code.split("public.").skip(1).filter(|rest| !rest.starts_with('<'));
    all.extend(tables.filter_map(|rest| Some(format!("public.{}", words(rest).next()?))));
    let quoted = ["'app'", "'web'", "'reports'", "'SLOT'", "'TABLE'"];
    all.extend(quoted.iter().filter(|name| code.contains(**name)).map(|name| (*name).to_owned()));
    all.into_iter().map(|name| format!("{name} looks real: write a placeholder")).collect()
}

/// Words that would be placeholders, in capitals and without brackets.
fn bare(code: &str) -> Vec<String> {
    let is_bare = |(at, word): &(usize, &str)| {
        let before = code[..*at].chars().next_back();
        let is_marked = matches!(before, Some('<' | '$' | '{' | '-' | '=')) && code.get(at - 1..*at) != Some("=");
        // As logs have it: `server process (PID <PID>)`.
        let rest = code[at + word.len()..].trim_start();
        let is_told = rest.starts_with('<') || rest.starts_with("...");
        BARE.contains(word) && !is_marked && !is_told
    };
    let found = words_at(code).filter(is_bare);
    found.map(|(_, word)| format!("{word} is a placeholder: write it in brackets")).collect()
}

fn is_date(text: &str) -> bool {
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|c| c.is_ascii_digit());
    let mut parts = text.get(..10).unwrap_or_default().split('-');
    matches!((parts.next(), parts.next(), parts.next()), (Some(year), Some(month), Some(day))
        if digits(year, 4) && digits(month, 2) && digits(day, 2))
}

/// A position in WAL.
fn is_position(text: &str) -> bool {
    let is_hex = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_hexdigit());
    text.split_once('/').is_some_and(|(high, low)| is_hex(high) && is_hex(low) && (high, low) != ("0", "0"))
}

/// Whether inline code does something by itself: `SELECT pg_promote();`, `VACUUM <TABLE>`; not `CREATE INDEX CONCURRENTLY`, `SHOW POOLS` and
/// `ALTER TABLE ... DETACH`, which name what could be done.
fn is_statement(code: &str) -> bool {
    let verb = words(code).next().unwrap_or_default();
    let has_object =
        code.contains(['<', '(']) && code.contains(['>', ')']) || code.chars().any(|c| c.is_ascii_lowercase());
    let is_fragment = code.contains("...") || code.contains('…');
    let is_whole = code.contains(';');
    if !code.starts_with(verb) || is_fragment {
        return false;
    }
    VERBS.contains(&verb) && (is_whole || has_object && !is_list_of_options(code))
        || SHORT.contains(&verb) && is_whole && code.contains(' ')
}

/// `VACUUM (FREEZE)`.
fn is_list_of_options(code: &str) -> bool {
    !code.contains('<') && !code.chars().any(|c| c.is_ascii_lowercase())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    words_at(text).map(|(_, word)| word)
}

/// With their places.
fn words_at(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let start = text.as_ptr() as usize;
    parts.filter(|part| !part.is_empty()).map(move |part| (part.as_ptr() as usize - start, part))
}

#[test]
fn every_runbook_can_be_taken_at_its_word() {
    let wrong: Vec<_> = text::all().iter().flat_map(of).collect();
    assert!(wrong.is_empty(), "{} things:\n{}", wrong.len(), wrong.join("\n"));
}

/// Each line of `bad.md` that has something wrong, with what is said of it.
#[test]
fn what_is_wrong_is_found() {
    let told = of(&Runbook::parse("bad", include_str!("bad.md"))).join("\n") + "\n";
    expect_test::expect_file!["bad.txt"].assert_eq(&told);
}

#[test]
fn what_is_right_is_left_alone() {
    let wrong = of(&Runbook::parse("sample", include_str!("sample.md")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
