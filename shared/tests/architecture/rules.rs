//! The rules of `docs/architecture.md` as tables, and what breaks them as sentences.

use crate::source::{Found, Scan, Source};

/// What a package may do.
pub(crate) struct Package {
    /// Its folder in the workspace.
    pub(crate) folder: &'static str,
    /// Its library's name.
    pub(crate) library: &'static str,
    /// Modules from top to bottom. A module imports from rows below its own only. None: the
    /// package has no order to keep.
    pub(crate) rows: &'static [&'static [&'static str]],
    /// Passages between floors that are open to the few named alone.
    pub(crate) passages: &'static [Passage],
    /// Crates with an owner: where alone they may be named, as prefixes of paths in `src/`. What has
    /// none is kept out; a module of a crate is named by its path.
    pub(crate) owners: &'static [(&'static str, &'static [&'static str])],
    /// Crates that anybody may use.
    pub(crate) vocabulary: &'static [&'static str],
    /// Libraries of the workspace that must never be named.
    pub(crate) strangers: &'static [&'static str],
    /// Imports, from one file and of another, that close a circle and are to go. Nothing is added.
    pub(crate) permitted_circles: &'static [(&'static str, &'static str)],
    /// Where SQL may stand.
    pub(crate) sql: &'static [&'static str],
}

/// Who of one module may name which part of another (or of the same one).
pub(crate) struct Passage {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    /// Beginnings of paths in `src/`, and the part of `to` that they may name.
    pub(crate) open: &'static [(&'static str, &'static str)],
}

impl Passage {
    /// Whether this passage is closed to a file that names `target`.
    fn is_closed(&self, source: &Source, target: &[String]) -> bool {
        let own = source.module();
        let (Some(module), Some(part)) = (target.get(1), target.get(2)) else { return false };
        let concerns = own.get(1).is_some_and(|own| own == self.from) && module == self.to;
        let own_part = self.from == self.to && own.get(2) == Some(part);
        let is_open =
            self.open.iter().any(|(path, open)| source.path.starts_with(path) && part == open);
        concerns && !own_part && !is_open
    }
}

pub(crate) const MAX_LINES: usize = 500;

/// The beginning of every topic, and the tails that no other text has.
const TOPIC_TEXTS: [&str; 8] = [
    "nightjar/v1",
    "down/command",
    "down/signal",
    "up/event",
    "up/health",
    "up/ack",
    "up/presence",
    "up/signal",
];

const SQL_STARTS: [&str; 6] =
    ["select ", "insert into ", "update ", "delete from ", "create table ", "drop table "];

impl Package {
    /// Everything wrong with one file below `src/`.
    pub(crate) fn check(&self, source: &Source) -> Vec<String> {
        let scan = source.scan();
        let mut wrong = Vec::new();
        wrong.extend(self.imports(source, &scan));
        wrong.extend(self.closed_passages(source, &scan));
        wrong.extend(self.foreign_crates(source, &scan));
        wrong.extend(self.workspace_crates(source, &scan));
        wrong.extend(self.topics(source, &scan));
        wrong.extend(self.sql(source, &scan));
        wrong.extend(self.length(source));
        wrong
    }

    /// What is wrong with a file below `tests/`, `benches/` or `examples/`: tests may name any
    /// crate and spell any text at any length, but the sides of the wire stay apart.
    pub(crate) fn check_test(&self, source: &Source) -> Vec<String> {
        let scan = source.scan();
        self.workspace_crates(source, &scan).collect()
    }

    fn imports(&self, source: &Source, scan: &Scan) -> Vec<String> {
        let Some(own) = source.module().get(1).cloned() else {
            // lib.rs and main.rs name everything.
            return Vec::new();
        };
        if self.rows.is_empty() {
            return Vec::new();
        }
        let Some(own_row) = self.row_of(&own) else {
            return vec![format!(
                "{}/src/{}: the module `{own}` stands in no row; give it one, here and in docs/architecture.md",
                self.folder, source.path
            )];
        };
        let inside = |found: &&Found<Vec<String>>| {
            found.what.first().is_some_and(|first| first == "crate" || first == self.library)
        };
        let upward = |found: &Found<Vec<String>>| {
            let target = found.what.get(1)?;
            let wrong = *target != own && self.row_of(target)? <= own_row;
            wrong.then(|| {
                format!("{}: `{own}` must not import `{target}`", self.place(source, found))
            })
        };
        scan.paths.iter().filter(inside).filter_map(upward).collect()
    }

    fn closed_passages<'a>(
        &'a self,
        source: &'a Source,
        scan: &'a Scan,
    ) -> impl Iterator<Item = String> + 'a {
        let closed = |target: &[String]| {
            self.passages.iter().find(|passage| passage.is_closed(source, target))
        };
        scan.paths.iter().filter(|found| found.what[0] == "crate").filter_map(move |found| {
            let passage = closed(&found.what)?;
            let name = found.what[1..].join("::");
            Some(format!("{}: {} does not reach `{name}`", self.place(source, found), passage.from))
        })
    }

    fn row_of(&self, module: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.contains(&module))
    }

    fn foreign_crates<'a>(
        &'a self,
        source: &'a Source,
        scan: &'a Scan,
    ) -> impl Iterator<Item = String> + 'a {
        scan.paths.iter().filter_map(move |found| {
            let named = |name: &str| {
                let mut segments = found.what.iter();
                name.split("::").all(|part| segments.next().is_some_and(|segment| segment == part))
            };
            let (name, owners) = self.owners.iter().find(|(name, _)| named(name))?;
            let owned = owners.iter().any(|owner| source.path.starts_with(owner));
            let whose = if owners.is_empty() { "nobody".to_owned() } else { owners.join(", ") };
            (!owned).then(|| format!("{}: `{name}` belongs to {whose}", self.place(source, found)))
        })
    }

    fn workspace_crates<'a>(
        &'a self,
        source: &'a Source,
        scan: &'a Scan,
    ) -> impl Iterator<Item = String> + 'a {
        scan.paths.iter().filter(|found| self.strangers.contains(&found.what[0].as_str())).map(
            |found| {
                format!(
                    "{}: {} and `{}` meet in nightjar-shared alone",
                    self.place(source, found),
                    self.folder,
                    found.what[0]
                )
            },
        )
    }

    fn topics<'a>(
        &'a self,
        source: &'a Source,
        scan: &'a Scan,
    ) -> impl Iterator<Item = String> + 'a {
        let spelled = |text: &str| TOPIC_TEXTS.into_iter().find(|topic| text.contains(topic));
        scan.texts.iter().filter_map(move |found| {
            let topic = spelled(&found.what)?;
            (self.folder != "shared").then(|| {
                format!(
                    "{}: the topic text `{topic}` is spelled in shared/src/topic.rs alone",
                    self.place(source, found)
                )
            })
        })
    }

    fn sql<'a>(&'a self, source: &'a Source, scan: &'a Scan) -> impl Iterator<Item = String> + 'a {
        let is_sql = |text: &str| {
            let text = text.trim_start().to_lowercase();
            SQL_STARTS.iter().any(|start| text.starts_with(start)) && text.contains(SQL_PROOF)
        };
        let owned = self.sql.iter().any(|owner| source.path.starts_with(owner));
        scan.texts.iter().filter(move |found| !owned && is_sql(&found.what)).map(|found| {
            format!("{}: SQL belongs to {}", self.place(source, found), self.sql.join(", "))
        })
    }

    fn length(&self, source: &Source) -> Option<String> {
        let lines = source.lines();
        (lines > MAX_LINES)
            .then(|| format!("{}/{}: {lines} lines, at most {MAX_LINES}", self.folder, source.path))
    }

    fn place<T>(&self, source: &Source, found: &Found<T>) -> String {
        format!("{}/…/{}:{}", self.folder, source.path, found.line)
    }

    /// Dependencies that have neither an owner nor a place in the vocabulary.
    pub(crate) fn unowned(&self, manifest: &str) -> Vec<String> {
        let known = |name: &str| {
            let name = name.replace('-', "_");
            self.vocabulary.contains(&name.as_str())
                || self.owners.iter().any(|(owned, _)| *owned == name)
        };
        dependencies(manifest)
            .into_iter()
            .filter(|name| !known(name))
            .map(|name| {
                format!(
                    "{}/Cargo.toml: `{name}` has no owner; name one in the architecture test",
                    self.folder
                )
            })
            .collect()
    }
}

/// A `select` or an `update` in a sentence has none of these behind it.
const SQL_PROOF: &[char] = &['$', '=', '*', '(', ','];

/// The names in `[dependencies]`.
pub(crate) fn dependencies(manifest: &str) -> Vec<&str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}
