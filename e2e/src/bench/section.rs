//! The part of a document that a bench writes: what lies between its two marks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// A document, open at one bench's part.
#[derive(Debug)]
pub struct Section {
    document: PathBuf,
    /// Up to the first mark and from the second one on, the marks included.
    around: (String, String),
}

impl Section {
    /// Finds the part of `bench`, for instance `make bench`: its marks are the comments "`make
    /// bench` writes below this line" and "above this line".
    pub fn open(document: &Path, bench: &str) -> Result<Self> {
        let text = fs::read_to_string(document)
            .with_context(|| format!("cannot read {}", document.display()))?;
        let around = around(&text, bench)
            .with_context(|| format!("{} has no marks of {bench}", document.display()))?;
        Ok(Self { document: document.to_owned(), around })
    }

    /// Puts `text` in the place of what was between the marks.
    pub fn write(&self, text: &str) -> Result<()> {
        let (before, after) = &self.around;
        fs::write(&self.document, format!("{before}\n\n{}\n\n{after}", text.trim()))
            .with_context(|| format!("cannot write {}", self.document.display()))
    }
}

fn around(text: &str, bench: &str) -> Option<(String, String)> {
    let mark = |side: &str| format!("<!-- {bench} writes {side} this line -->");
    let (first, second) = (mark("below"), mark("above"));
    let begin = text.find(&first)? + first.len();
    let end = begin + text.get(begin..)?.find(&second)?;
    Some((text.get(..begin)?.to_owned(), text.get(end..)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::around;

    #[test]
    fn a_bench_finds_its_own_marks_among_others() {
        let part = |name: &str, text: &str| {
            format!(
                "<!-- {name} writes below this line -->{text}<!-- {name} writes above this line -->"
            )
        };
        let document = format!("a{}b{}c", part("make bench", "1"), part("make bench-peers", "2"));
        let (before, after) = around(&document, "make bench-peers").unwrap_or_default();
        assert!(
            before.starts_with("a<!--")
                && before.ends_with("b<!-- make bench-peers writes below this line -->")
        );
        assert_eq!(after, "<!-- make bench-peers writes above this line -->c");
        assert!(around(&document, "make bench-motion").is_none());
    }
}
