//! No circle of imports between files: of two files at most one knows the other, over any number of
//! steps. A file that uses what the module around it declares (`super::X`) does not count, nor do
//! tests.

use std::collections::{BTreeMap, BTreeSet};

use crate::{rules::Package, source::Source};

/// For each file, the files that it imports from, with the line of the first import.
type Imports<'a> = BTreeMap<&'a str, BTreeMap<&'a str, usize>>;

impl Package {
    /// Circles in these files, and permitted imports that close none.
    pub(crate) fn circles(&self, sources: &[Source]) -> Vec<String> {
        let all = imports(sources);
        let mut open = all.clone();
        for (from, to) in self.permitted_circles {
            open.get_mut(from).and_then(|targets| targets.remove(to));
        }
        let circles = open.iter().flat_map(|(from, targets)| {
            let closing = targets.iter().filter(|(to, _)| reaches(&open, to, from));
            closing.map(move |(to, line)| {
                format!(
                    "{}/src/{from}:{line}: imports {to}, which imports it, perhaps over others",
                    self.folder
                )
            })
        });
        let needless = self.permitted_circles.iter().filter(|(from, to)| {
            let exists = all.get(from).is_some_and(|targets| targets.contains_key(to));
            !exists || !reaches(&all, to, from)
        });
        let needless = needless.map(|(from, to)| {
            format!(
                "{}/src/{from}: importing {to} closes no circle any more; take it off the list",
                self.folder
            )
        });
        circles.chain(needless).collect()
    }
}

fn reaches(imports: &Imports<'_>, from: &str, to: &str) -> bool {
    let (mut waiting, mut seen) = (vec![from], BTreeSet::from([from]));
    while let Some(file) = waiting.pop() {
        if file == to {
            return true;
        }
        let next = imports.get(file).into_iter().flat_map(BTreeMap::keys);
        waiting.extend(next.filter(|next| seen.insert(next)));
    }
    false
}

fn imports(sources: &[Source]) -> Imports<'_> {
    let sources = || sources.iter().filter(|source| !is_test(&source.path));
    let files: BTreeMap<Vec<String>, &str> =
        sources().map(|source| (source.module(), source.path.as_str())).collect();
    sources()
        .map(|source| {
            let mut targets = BTreeMap::new();
            for found in source.without_tests().scan().paths {
                let target = (1..=found.what.len())
                    .rev()
                    .find_map(|length| files.get(&found.what[..length]).map(|file| (length, file)));
                let Some((length, file)) = target else { continue };
                if !source.module().starts_with(&found.what[..length]) {
                    targets.entry(*file).or_insert(found.line);
                }
            }
            (source.path.as_str(), targets)
        })
        .collect()
}

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("tests/") || path == "main.rs" || path == "lib.rs"
}
