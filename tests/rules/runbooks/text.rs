//! A runbook as text: its blocks of code, the statements in them, its inline code, and the placeholders in all of it.

use std::fs;

/// Where runbooks are.
pub const FOLDER: &str = "docs/runbooks";

/// A file of Markdown.
pub struct Runbook {
    /// As its file is called: the alert's name.
    pub name: String,
    /// What is not in blocks, by line.
    pub prose: Vec<(usize, String)>,
    pub blocks: Vec<Block>,
}

/// What stands between fences.
pub struct Block {
    /// Its first line in the file.
    pub line: usize,
    /// Behind the opening fence: `sql primary since 15`.
    pub info: String,
    pub text: String,
}

/// A statement of a block, with its line in the file.
#[derive(Debug, PartialEq)]
pub struct Statement {
    pub line: usize,
    pub text: String,
}

pub fn all() -> Vec<Runbook> {
    let entries = fs::read_dir(FOLDER).expect("runbooks");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        Runbook::parse(&name, &fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    paths.iter().map(read).collect()
}

impl Runbook {
    pub fn parse(name: &str, text: &str) -> Runbook {
        let mut runbook = Runbook { name: name.to_owned(), prose: Vec::new(), blocks: Vec::new() };
        let mut open: Option<(Block, usize)> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let fence = line.trim_start().strip_prefix("```");
            open = match (open, fence) {
                (None, Some(info)) => {
                    let block = Block { line: number + 1, info: info.trim().to_owned(), text: String::new() };
                    // In a list it is indented.
                    Some((block, line.len() - line.trim_start().len()))
                }
                (Some((block, _)), Some(_)) => {
                    runbook.blocks.push(block);
                    None
                }
                (Some((mut block, indent)), None) => {
                    block.text.push_str(line.get(indent..).unwrap_or_default());
                    block.text.push('\n');
                    Some((block, indent))
                }
                (None, None) => {
                    runbook.prose.push((number, line.to_owned()));
                    None
                }
            };
        }
        runbook.blocks.extend(open.map(|(block, _)| block));
        runbook
    }

    /// What stands between backticks in the prose, by line.
    pub fn inline(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose.iter().flat_map(|(line, text)| text.split('`').skip(1).step_by(2).map(|code| (*line, code)))
    }
}

impl Block {
    pub fn is(&self, language: &str) -> bool {
        self.info.split(' ').next() == Some(language)
    }

    /// What its semicolons end, with the comments in it; a line that begins with a backslash is psql's own command. Last comes what is left
    /// without an end.
    pub fn statements(&self) -> Vec<Statement> {
        let mut all = Vec::new();
        let (mut text, mut begins, mut line, mut rest) = (String::new(), self.line, self.line, self.text.as_str());
        while !rest.is_empty() {
            let is_new = is_empty(&text);
            if is_new {
                begins = line + rest.len().min(rest.find(|c: char| c != '\n').unwrap_or(0));
            }
            let token = if is_new && rest.starts_with('\\') { up_to(rest, 1, "\n") } else { token(rest) };
            text.push_str(token);
            line += token.matches('\n').count();
            rest = &rest[token.len()..];
            if token == ";" || is_new && token.starts_with('\\') {
                all.push(Statement { line: begins, text: std::mem::take(&mut text).trim().to_owned() });
            }
        }
        all.extend((!is_empty(&text)).then(|| Statement { line: begins, text: text.trim().to_owned() }));
        all
    }
}

/// Whether there is nothing but comments.
fn is_empty(text: &str) -> bool {
    without_comments(text).trim().is_empty()
}

pub fn without_comments(text: &str) -> String {
    let (mut rest, mut plain) = (text, String::new());
    while !rest.is_empty() {
        let token = token(rest);
        let is_comment = token.starts_with("--") || token.starts_with("/*");
        plain.push_str(if is_comment { " " } else { token });
        rest = &rest[token.len()..];
    }
    plain
}

/// The first of an SQL text: a string, a quoted name, a comment, or one character.
fn token(text: &str) -> &str {
    match text {
        _ if text.starts_with('\'') => up_to(text, 1, "'"),
        _ if text.starts_with('"') => up_to(text, 1, "\""),
        _ if text.starts_with("--") => text.split_inclusive('\n').next().unwrap_or(text).trim_end_matches('\n'),
        _ if text.starts_with("/*") => up_to(text, 2, "*/"),
        _ if text.starts_with("$$") => up_to(text, 2, "$$"),
        _ => &text[..text.chars().next().map_or(0, char::len_utf8)],
    }
}

/// With what ends it.
fn up_to<'t>(text: &'t str, from: usize, end: &str) -> &'t str {
    text[from..].find(end).map_or(text, |at| &text[..from + at + end.len()])
}

/// `<TABLE>` and its like, without the brackets, in the order of a text.
pub fn placeholders(text: &str) -> Vec<&str> {
    let inside = text.match_indices('<').filter_map(|(at, _)| text[at + 1..].split_once('>').map(|(name, _)| name));
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "_- ".contains(c))
    };
    inside.filter(is_name).collect()
}

#[test]
fn blocks_are_found_with_their_statements() {
    let text = "One `code`.\n```sql primary\n-- why; not\nSELECT ';' AS \"a;b\" -- x\n  FROM t;\n\nSELECT 2; SELECT $$;$$;\n\\c <DATABASE>\nrest\n```\n  - x\n\n  ```sh\n  ls <PATH>\n  ```\n`a` and `b`";
    let runbook = Runbook::parse("x", text);
    let [sql, shell] = &runbook.blocks[..] else { panic!("two blocks") };
    assert_eq!((sql.line, sql.info.as_str(), shell.line, shell.text.as_str()), (3, "sql primary", 14, "ls <PATH>\n"));
    let statements = sql.statements();
    let told: Vec<_> = statements.iter().map(|statement| (statement.line, statement.text.as_str())).collect();
    let first = "-- why; not\nSELECT ';' AS \"a;b\" -- x\n  FROM t;";
    assert_eq!(told, [(4, first), (7, "SELECT 2;"), (7, "SELECT $$;$$;"), (8, "\\c <DATABASE>"), (9, "rest")]);
    assert_eq!(runbook.inline().collect::<Vec<_>>(), [(1, "code"), (16, "a"), (16, "b")]);
    assert_eq!(placeholders("a < b AND c > d <TABLE> '<a b>' <1>"), ["TABLE", "a b"]);
}
