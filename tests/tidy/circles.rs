//! Files that import each other, directly or through others: whoever reads one has to read all.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, assert_none, sources};

#[test]
fn files_do_not_import_each_other_in_circles() {
    let sources = sources();
    let circles = circles(&graph(&sources));
    let told = circles.into_iter().map(|files| files.into_iter().collect::<Vec<_>>().join(" → "));
    assert_none(told, "these files import each other");
}

/// Which file names something of which others.
fn graph(sources: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let of_path: BTreeMap<Vec<&str>, &str> =
        sources.iter().map(|source| (module(&source.path), &*source.path)).collect();
    let mut graph = BTreeMap::new();
    for source in sources {
        let own = module(&source.path);
        let mut named = BTreeSet::new();
        for path in paths(&source.code) {
            let Some(path) = absolute(&own, &path, &of_path) else { continue };
            // The longest part of it that is a file.
            let file = (1..=path.len()).rev().find_map(|length| of_path.get(&path[..length]));
            named.extend(file.filter(|file| **file != source.path));
        }
        graph.insert(&*source.path, named);
    }
    graph
}

/// `a/b.rs` as `[a, b]`.
fn module(path: &str) -> Vec<&str> {
    path.trim_end_matches(".rs").split('/').collect()
}

/// A path from the top of the crate on; `None` for one into another crate.
fn absolute<'c>(
    own: &[&'c str],
    path: &[&'c str],
    of_path: &BTreeMap<Vec<&str>, &str>,
) -> Option<Vec<&'c str>> {
    let (first, mut rest) = path.split_first()?;
    let mut base = own.to_vec();
    match *first {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            base.pop();
            while let Some(("super", behind)) = rest.split_first().map(|(first, all)| (*first, all))
            {
                base.pop();
                rest = behind;
            }
        }
        // A module of its own.
        child => {
            base.push(child);
            of_path.get(&base)?;
        }
    }
    base.extend(rest);
    Some(base)
}

/// Every path that is imported, and every other one that begins where the crate or a module does.
fn paths(code: &str) -> Vec<Vec<&str>> {
    // `pub(in crate::a)` names nobody.
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let is_word = rest[..at].chars().next_back().is_none_or(|c| c.is_whitespace());
        let end = rest[at..].find(';').map_or(rest.len(), |length| at + length);
        if is_word {
            tree(&rest[at + "use ".len()..end], &[], &mut found);
            inline(&rest[..at], &mut found);
            rest = &rest[end..];
        } else {
            rest = &rest[at + "use ".len()..];
        }
    }
    inline(rest, &mut found);
    found
}

/// The paths of a tree of imports: `a::{b, c::d}`.
fn tree<'c>(text: &'c str, before: &[&'c str], found: &mut Vec<Vec<&'c str>>) {
    let text = text.trim();
    let Some((prefix, list)) = text.split_once('{') else {
        let path = text.split(" as ").next().unwrap_or_default();
        let names = path.split("::").map(str::trim).filter(|name| !name.is_empty());
        found.push(before.iter().copied().chain(names).collect());
        return;
    };
    let names = prefix.split("::").map(str::trim).filter(|name| !name.is_empty());
    let before: Vec<_> = before.iter().copied().chain(names).collect();
    let list = list.trim_end().trim_end_matches('}');
    let (mut depth, mut begin) = (0, 0);
    for (at, character) in list.char_indices().chain([(list.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !list[begin..at].trim().is_empty() {
                    tree(&list[begin..at], &before, found);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

fn inline<'c>(code: &'c str, found: &mut Vec<Vec<&'c str>>) {
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if code[..at].ends_with("in ")
                || before.is_some_and(|c| c == ':' || c.is_alphanumeric())
            {
                continue;
            }
            let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            let end = code[at..].find(|c| !is_path(c)).map_or(code.len(), |length| at + length);
            found.push(code[at..end].split("::").filter(|name| !name.is_empty()).collect());
        }
    }
}

/// The files that lead back to themselves, circle by circle: whoever reaches the same files as one
/// that it reaches is in a circle with it.
fn circles<'s>(graph: &BTreeMap<&'s str, BTreeSet<&'s str>>) -> BTreeSet<BTreeSet<&'s str>> {
    let reached = |from: &str| {
        let mut reached = BTreeSet::new();
        let mut ahead: Vec<_> = graph[from].iter().copied().collect();
        while let Some(file) = ahead.pop() {
            if reached.insert(file) {
                ahead.extend(graph[file].iter().copied());
            }
        }
        reached
    };
    let all: BTreeMap<_, _> = graph.keys().map(|file| (*file, reached(file))).collect();
    let circle = |file: &&'s str| {
        let back = all[file].iter().copied().filter(|other| all[other].contains(file));
        back.collect::<BTreeSet<_>>()
    };
    graph.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

#[test]
fn circle_is_found_through_others_and_through_lists() {
    let source = |path: &str, code: &str| Source {
        path: path.to_owned(),
        code: code.to_owned(),
        text: String::new(),
    };
    let sources = [
        source("a.rs", "mod b; use crate::c::{d::{E, F}, G};"),
        source("a/b.rs", "pub(in crate::a) fn f() {}"),
        source("c.rs", "pub(crate) use self::d::E;"),
        source("c/d.rs", "fn f() { super::super::a::g() }"),
    ];
    let found = circles(&graph(&sources));
    assert_eq!(found, BTreeSet::from([BTreeSet::from(["a.rs", "c.rs", "c/d.rs"])]));
}
