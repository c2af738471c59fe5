//! `docs/authorization.md`, read.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use super::world::Principal;

/// What becomes of a request, as far as the caller decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Let in: what is asked for may still be wrong, or missing.
    Yes,
    Unauthenticated,
    Forbidden,
    NotFound,
    /// The door asks for a proof of its own, which is wrong here: nobody gets anything.
    Asks,
}

impl Outcome {
    fn read(cell: &str) -> Self {
        match cell {
            "yes" => Self::Yes,
            "401" => Self::Unauthenticated,
            "403" => Self::Forbidden,
            "404" => Self::NotFound,
            "asks" => Self::Asks,
            other => panic!("docs/authorization.md: `{other}` is none of yes, 401, 403, 404, asks"),
        }
    }

    pub(super) fn is_met_by(self, status: u16) -> bool {
        match self {
            Self::Yes => !matches!(status, 401 | 403 | 404) && status < 500 || status == 503,
            Self::Unauthenticated => status == 401,
            Self::Forbidden => status == 403,
            Self::NotFound => status == 404,
            Self::Asks => (400..500).contains(&status),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Yes => "yes",
            Self::Unauthenticated => "401",
            Self::Forbidden => "403",
            Self::NotFound => "404",
            Self::Asks => "asks",
        })
    }
}

/// One line of a table: a door, a message or a topic, and what becomes of whom.
pub(super) struct Row {
    pub(super) name: String,
    cells: BTreeMap<String, Outcome>,
}

impl Row {
    pub(super) fn outcome(&self, principal: Principal) -> Outcome {
        self.of(&principal.to_string())
    }

    pub(super) fn of(&self, column: &str) -> Outcome {
        let cell = self.cells.get(column);
        *cell.unwrap_or_else(|| panic!("docs/authorization.md has no column `{column}`"))
    }
}

/// Reads the table below a heading.
pub(super) fn read(heading: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/authorization.md");
    let text = fs::read_to_string(path).unwrap();
    let section = text.split_once(&format!("{heading}\n"));
    let (_, section) = section.unwrap_or_else(|| panic!("no {heading} in docs/authorization.md"));
    let section = section.split("\n## ").next().unwrap();
    let mut lines = section.lines().filter(|line| line.starts_with('|')).map(cells);
    let columns = lines.next().unwrap();
    lines
        .skip(1)
        .map(|cells| {
            assert_eq!(cells.len(), columns.len(), "docs/authorization.md: {cells:?}");
            let outcomes = columns.iter().zip(&cells).skip(1);
            Row {
                name: cells[0].trim_matches('`').to_owned(),
                cells: outcomes
                    .map(|(column, cell)| (column.clone(), Outcome::read(cell)))
                    .collect(),
            }
        })
        .collect()
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}
