//! All that is wrong with a configuration, at once: what was found is left out, and the rest read again.

use super::{Config, ConfigError, one_line};

/// More than anybody mends in one go.
const FAULTS_MAX: usize = 100;

/// Something that keeps a relay from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands in the file, if it stands there.
    pub line: Option<usize>,
    /// The key, its value, the remedy.
    pub message: String,
}

/// Finds what is wrong with the text of a configuration.
pub fn faults(text: &str) -> Vec<Fault> {
    if let Err(error) = text.parse::<toml::Table>() {
        // Nothing behind it can be read.
        let line = error.span().map(|span| line_at(text, span.start));
        return vec![Fault { line, message: one_line(&error, text) }];
    }
    let mut rest = text.to_owned();
    let mut found = Vec::new();
    while found.len() < FAULTS_MAX {
        let Some((fault, lines)) = first(&rest) else { break };
        found.push(fault);
        match lines.and_then(|(first, last)| without(&rest, first, last)) {
            Some(shorter) => rest = shorter,
            // It stands nowhere: what is behind it is found once it is mended.
            None => break,
        }
    }
    found.sort_by_key(|fault| fault.line.unwrap_or(usize::MAX));
    found
}

/// Returns the line on which a key like `store.public_url` stands.
pub fn key_line(text: &str, key: &str) -> Option<usize> {
    let mut section = String::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let name = header.split(']').next().unwrap_or_default();
            section = format!("{}.", name.trim());
        } else if let Some((name, _)) = line.split_once('=') {
            let name = name.trim().trim_matches('"');
            if section_key(&section, name) == key {
                return Some(number);
            }
        }
    }
    None
}

fn section_key(section: &str, name: &str) -> String {
    if section == "." { name.to_owned() } else { format!("{section}{name}") }
}

/// Finds the first fault, and the lines to leave out: first and last.
fn first(text: &str) -> Option<(Fault, Option<(usize, usize)>)> {
    match toml::from_str::<Config>(text) {
        Err(error) => {
            let lines = error.span().map(|span| {
                let last = span.end.saturating_sub(1).max(span.start);
                (line_at(text, span.start), line_at(text, last))
            });
            let line = lines.map(|(first, _)| first);
            Some((Fault { line, message: one_line(&error, text) }, lines))
        }
        Ok(mut config) => match config.normalize() {
            Ok(()) => None,
            Err(error) => {
                let line = match &error {
                    ConfigError::Value { key, .. } => key_line(text, key),
                    _ => None,
                };
                let message = error.to_string();
                Some((Fault { line, message }, line.map(|line| (line, line))))
            }
        },
    }
}

/// Empties lines, so that the others keep their numbers: with a header its whole table, and as many more as a
/// value has that began there.
fn without(text: &str, first: usize, last: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_header =
        |number: usize| lines.get(number - 1).is_none_or(|line| line.trim_start().starts_with('['));
    let mut last = last.max(first);
    if is_header(first) {
        while !is_header(last + 1) {
            last += 1;
        }
    }
    while last <= lines.len() {
        let numbered = lines.iter().zip(1..);
        let left = numbered.map(|(line, number)| {
            let is_left_out = (first..=last).contains(&number);
            if is_left_out { "" } else { line }
        });
        let shorter = left.collect::<Vec<_>>().join("\n");
        if shorter.parse::<toml::Table>().is_ok() {
            return Some(shorter);
        }
        last += 1;
    }
    None
}

fn line_at(text: &str, place: usize) -> usize {
    text.get(..place).map_or(1, |before| before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn lines(text: &str) -> Vec<Option<usize>> {
        let found = faults(text);
        assert_eq!(
            found.is_empty(),
            Config::parse(text, Path::new("relay.toml")).is_ok(),
            "{found:?}"
        );
        found.into_iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn all_faults_are_found_with_their_lines() {
        let text = "public_url = \"http://cam.example.org\"\n\
                    regstration = \"open\"\n\
                    listen = 80\n\
                    [limits]\n\
                    free_percent = 99\n\
                    camera_clips = \"many\"\n\
                    [stroe]\n\
                    listen = \"127.0.0.1:1\"\n\
                    other = [\n 1,\n 2 ]\n\
                    [audit]\n\
                    keep_days = 1\n";
        let found: Vec<_> = lines(text).into_iter().flatten().collect();
        assert_eq!(found, [1, 2, 3, 5, 6, 7, 13], "{:#?}", faults(text));
    }

    #[test]
    fn a_value_over_several_lines_is_left_out_as_a_whole() {
        let text = "trusted = [\n\"10.0.0.1\",\n\"10.0.0.2\"\n]\n[audit]\nkeep_days = 1\n";
        let found: Vec<_> = lines(text).into_iter().flatten().collect();
        assert_eq!(found, [1, 6], "{:#?}", faults(text));
    }

    #[test]
    fn what_cannot_be_read_at_all_is_one_fault() {
        assert_eq!(lines("listen = \n[audit\n").len(), 1);
        assert!(lines("").is_empty());
        assert!(lines("[store]\nlisten = \"127.0.0.1:9\"\n").is_empty());
    }

    #[test]
    fn a_key_is_found_in_its_table_alone() {
        let text = "listen = \"a\"\n[store]\nlisten = \"b\"\n[tls.acme]\ncontact = []\n";
        assert_eq!(key_line(text, "listen"), Some(1));
        assert_eq!(key_line(text, "store.listen"), Some(3));
        assert_eq!(key_line(text, "tls.acme.contact"), Some(5));
        assert_eq!(key_line(text, "mqtt.listen"), None);
    }
}
