//! Who may use whom: rooms use only the rooms below them, and files do not use each other in circles.

use std::collections::{BTreeMap, BTreeSet};

use syn::{
    Macro, UseTree,
    visit::{self, Visit},
};

use super::{Source, each, sources};

/// What each room may use of the others, itself aside: the longest beginning of a file's path counts. Rooms without a line stand at the top and
/// use what they like. For the rooms of tools/ it is also what they may use of the library; that the library uses nothing of theirs, `crates.rs` holds.
const MAY_USE: &[(&str, &str)] = &[
    ("secret", ""),
    ("truncate", ""),
    ("memory_budget", ""),
    ("log_limit", ""),
    ("certificate", ""),
    ("circuit_breaker", ""),
    ("table", "memory_budget truncate"),
    ("schema", "secret"),
    ("collector", "schema settings table"),
    ("settings", "schema secret"),
    ("shipped", ""),
    ("import", "collector schema"),
    ("map", "collector table truncate"),
    ("exposition", "collector map table"),
    ("docs", "collector exposition map"),
    ("source", "certificate collector log_limit memory_budget secret settings table truncate"),
    ("probe", "circuit_breaker collector secret settings source table truncate"),
    ("access", "certificate schema secret settings"),
    (
        "scrape",
        "access circuit_breaker collector exposition log_limit map memory_budget probe schema settings source table",
    ),
    ("http", "access exposition log_limit scrape"),
    ("main", "cli"),
    ("tools/board.rs", "schema"),
    ("tools/boards", "board collector schema shipped"),
    ("tools/grafana", "board"),
];

impl Source {
    /// Its room among those above, and what that may use.
    fn room(&self) -> Option<(&'static str, &'static str)> {
        let rooms = MAY_USE.iter().copied().filter(|(room, _)| self.path.starts_with(room) && !self.is_test());
        rooms.max_by_key(|(room, _)| room.len())
    }

    /// The path of its module: `map::layout` of `map/layout.rs`, `map` of `map/mod.rs`.
    fn module(&self) -> Vec<String> {
        let path = self
            .path
            .trim_start_matches("tools/")
            .trim_end_matches(".rs")
            .trim_end_matches("mod")
            .trim_end_matches('/');
        path.split('/').filter(|part| !["", "lib", "main"].contains(part)).map(str::to_owned).collect()
    }

    /// The absolute paths that it names, of its own crate and of the library: `crate::a::B` and `pgvigil::a::B` are both `a::B`.
    fn uses(&self) -> BTreeSet<Vec<String>> {
        let mut paths = Paths { module: self.module(), found: BTreeSet::new() };
        paths.visit_file(&self.tree());
        paths.found
    }
}

struct Paths {
    module: Vec<String>,
    found: BTreeSet<Vec<String>>,
}

impl Paths {
    fn add(&mut self, path: &[String]) {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let parent = || self.module[..self.module.len().saturating_sub(supers)].to_vec();
        let absolute = match path.first().map(String::as_str) {
            Some("crate" | "pgvigil") => path[1..].to_vec(),
            Some("super") => [parent(), path[supers..].to_vec()].concat(),
            Some("self") => [self.module.clone(), path[1..].to_vec()].concat(),
            // A module below, or a crate's name, which is not a module of ours.
            _ => [self.module.clone(), path.to_vec()].concat(),
        };
        self.found.insert(absolute.into_iter().filter(|part| part != "self").collect());
    }

    fn add_tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident)),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(name) => self.add(&with(&name.ident)),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let parts: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.add(&parts);
        }
        visit::visit_path(self, path);
    }

    /// What stands in a macro is not parsed: its words are joined by `::` again.
    fn visit_macro(&mut self, item: &'ast Macro) {
        let text = item.tokens.to_string().replace(" :: ", "::").replace("$ crate", "crate");
        for word in
            text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c)).filter(|word| word.contains("::"))
        {
            let parts: Vec<_> = word.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            self.add(&parts);
        }
        visit::visit_macro(self, item);
    }
}

/// The modules that a file uses, of all there are.
fn used(source: &Source, modules: &BTreeSet<Vec<String>>) -> BTreeSet<Vec<String>> {
    let module =
        |path: &Vec<String>| (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|path| modules.contains(path));
    let own = source.module();
    source.uses().iter().filter_map(module).filter(|module| *module != own).collect()
}

/// The modules of the library, or of tools/.
fn modules(sources: &[Source], of_tools: bool) -> BTreeSet<Vec<String>> {
    sources.iter().filter(|source| source.path.starts_with("tools/") == of_tools).map(Source::module).collect()
}

/// The rooms that a file uses, its own aside.
fn used_rooms(source: &Source, modules: &BTreeSet<Vec<String>>) -> BTreeSet<String> {
    let own = source.module().first().cloned();
    used(source, modules)
        .into_iter()
        .filter_map(|module| module.first().cloned())
        .filter(|room| Some(room) != own.as_ref())
        .collect()
}

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let sources = sources();
    let modules = &modules(&sources, false) | &modules(&sources, true);
    each(|source, wrong| {
        let Some((_, may)) = source.room() else { return };
        let used = used_rooms(source, &modules);
        let above = used.iter().filter(|room| !may.split(' ').any(|allowed| allowed == *room));
        wrong.extend(above.map(|room| format!("{} uses {room}: only {may:?} are below it", source.path)));
    });
}

/// All that a module uses, and what that uses, and so on.
fn reached(from: &[String], uses: &Uses) -> BTreeSet<Vec<String>> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from.to_vec()]);
    while let Some(module) = next.pop() {
        for used in uses.get(&module).into_iter().flatten() {
            if found.insert(used.clone()) {
                next.push(used.clone());
            }
        }
    }
    found
}

/// Modules, with what each uses.
type Uses = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

#[test]
fn files_do_not_use_each_other_in_circles() {
    let sources = sources();
    let modules = modules(&sources, false);
    let files = sources.iter().filter(|source| !source.path.starts_with("tools/") && !source.is_test());
    let uses: Uses = files.map(|source| (source.module(), used(source, &modules))).collect();
    let mut wrong = Vec::new();
    for (module, used) in &uses {
        let back = used.iter().filter(|used| reached(used, &uses).contains(module));
        wrong.extend(back.map(|used| format!("{} uses {}", module.join("::"), used.join("::"))));
    }
    assert!(wrong.is_empty(), "arrows of circles:\n{}", wrong.join("\n"));
}

/// No rule is about rooms that are gone, or allows what nobody does.
#[test]
fn every_rule_is_needed() {
    let sources = sources();
    let modules = &modules(&sources, false) | &modules(&sources, true);
    let mut idle = Vec::new();
    for (room, may) in MAY_USE {
        let files: Vec<_> = sources.iter().filter(|source| source.room() == Some((room, may))).collect();
        let used: BTreeSet<_> = files.iter().flat_map(|source| used_rooms(source, &modules)).collect();
        let unused = may.split_terminator(' ').filter(|other| !used.contains(*other));
        idle.extend(unused.map(|other| format!("{room} does not use {other}")));
        idle.extend(files.is_empty().then(|| format!("{room} is gone")));
    }
    assert!(idle.is_empty(), "\n{}", idle.join("\n"));
}

#[test]
fn paths_are_read() {
    for (text, expected) in [
        ("use crate::table::Cell;", "table::Cell"),
        ("use crate::{a::{b::C, self as d}, map::*};", "a a::b::C map"),
        (
            "fn f(x: super::table::Cell) -> crate::metric::Kind { below::g() }",
            "map::layout::below::g metric::Kind map::table::Cell",
        ),
        ("// crate::slot\nfn f() { println!(\"{}\", crate::a::b()); }", "a::b"),
        ("use pgvigil::schema::yaml;", "schema::yaml"),
    ] {
        let source = Source { path: "map/layout.rs".to_owned(), text: text.to_owned() };
        let found: BTreeSet<_> = source.uses().iter().map(|path| path.join("::")).collect();
        assert_eq!(found, expected.split(' ').map(str::to_owned).collect(), "{text}");
    }
}
