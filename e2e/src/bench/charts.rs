//! The charts at the beginning of docs/benchmarks.md, drawn from the tables below them.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    svg::{Bar, Chart},
    tables::{Measured, figure},
};

/// One chart: its file, what it says, and its bars, each a label, a figure's name in the tables and
/// the column that it is read from.
struct Plan {
    file: &'static str,
    title: &'static str,
    description: &'static str,
    bars: &'static [(&'static str, &'static str, &'static str)],
}

const PLANS: &[Plan] = &[
    Plan {
        file: "first-picture.svg",
        title: "How soon a viewer sees something",
        description: "Times from a request, or from the scene, to the viewer.",
        bars: &[
            ("first picture, half of the time", "WHEP POST to first frame, p50 of 20", "measured"),
            ("first picture, 19 times of 20", "WHEP POST to first frame, p95 of 20", "measured"),
            ("scene to screen, 19 times of 20", "glass to glass, p95", "measured"),
            (
                "motion to open app, 19 times of 20",
                "motion started to WebSocket client, p95",
                "measured",
            ),
            (
                "first picture by a TURN server, 19 of 20",
                "through coturn, start to first frame, p95 of 20",
                "measured",
            ),
        ],
    },
    Plan {
        file: "viewers.svg",
        title: "What viewers cost the camera (1 is one processor core)",
        description: "Processor time of the agent and its live worker by the time that passed.",
        bars: &[
            ("nobody watches", "agent and live worker, 0 viewers", "measured"),
            ("1 viewer", "agent and live worker, 1 viewers", "measured"),
            ("2 viewers", "agent and live worker, 2 viewers", "measured"),
            ("4 viewers", "agent and live worker, 4 viewers", "measured"),
            ("8 viewers", "agent and live worker, 8 viewers", "measured"),
        ],
    },
    Plan {
        file: "lossy-networks.svg",
        title: "Pictures shown on networks that lose packets",
        description: "Share of the camera's pictures that the viewer's browser showed.",
        bars: &[
            ("no packet lost", "0 % loss, 20 ms round trip, frames shown", "measured"),
            ("5 of 100 lost", "5 % loss, 20 ms round trip, frames shown", "measured"),
            ("20 of 100 lost", "20 % loss, 20 ms round trip, frames shown", "measured"),
        ],
    },
    Plan {
        file: "peers.svg",
        title: "What a viewer costs, beside other programs",
        description: "Processor time for each of eight viewers, per second.",
        bars: &[
            ("Nightjar", "each of 8 viewers, per second", "Nightjar"),
            ("Janus", "each of 8 viewers, per second", "Janus"),
            (
                "webrtcsink, encoded input",
                "each of 8 viewers, per second",
                "webrtcsink, encoded input",
            ),
            ("webrtcsink", "each of 8 viewers, per second", "webrtcsink"),
        ],
    },
    Plan {
        file: "motion.svg",
        title: "What looking for motion costs, for each pixel",
        description: "Processor time of the detector on a 640 by 360 picture.",
        bars: &[
            ("copying the picture, to compare", "memcpy of a 640x360", "measured"),
            ("quiet scene", "640x360, quiet", "measured"),
            ("busy scene", "640x360, busy", "measured"),
        ],
    },
];

/// Draws all charts from the tables of `document` into `pictures`, a folder.
pub fn write(document: &Path, pictures: &Path) -> Result<()> {
    let text = fs::read_to_string(document)
        .with_context(|| format!("cannot read {}", document.display()))?;
    fs::create_dir_all(pictures).with_context(|| format!("cannot make {}", pictures.display()))?;
    for (name, svg) in drawn(&text)? {
        let file = pictures.join(name);
        fs::write(&file, svg).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The charts as names of files and their contents.
fn drawn(document: &str) -> Result<Vec<(&'static str, String)>> {
    PLANS.iter().map(|plan| Ok((plan.file, plan.chart(document)?.draw()))).collect()
}

impl Plan {
    fn chart(&self, document: &str) -> Result<Chart<'_>> {
        let measured: Vec<(&str, Measured)> = self
            .bars
            .iter()
            .map(|(label, name, column)| {
                let found = figure(document, name, column);
                Ok((*label, found.with_context(|| format!("no table has {name}, {column}"))?))
            })
            .collect::<Result<_>>()?;
        let has_goals = measured.iter().any(|(_, figure)| figure.goal.is_some());
        let footer = footer(&measured, has_goals);
        let bars = measured.into_iter().map(|(label, figure)| bar(label, figure)).collect();
        Ok(Chart { title: self.title, description: self.description, bars, footer })
    }
}

fn bar(label: &str, figure: Measured) -> Bar {
    let Measured { value, text, goal, is_missed, .. } = figure;
    Bar { label: label.to_owned(), value, text, goal, is_missed }
}

/// When and where the bars were measured, shortened to fit.
fn footer(measured: &[(&str, Measured)], has_goals: bool) -> String {
    let first = measured.first().map_or("", |(_, figure)| figure.origin.as_str());
    let others = measured.iter().any(|(_, figure)| figure.origin != first);
    let origin = first.split(", ").next().unwrap_or(first);
    let others = if others { ", and with others: see the tables" } else { "" };
    let legend = if has_goals { ". Line: the goal" } else { "" };
    format!("{origin}{others}{legend}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charts_show_the_tables_as_they_stand() -> Result<()> {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let text = fs::read_to_string(docs.join("benchmarks.md"))?;
        for (name, svg) in drawn(&text)? {
            let kept = fs::read_to_string(docs.join("pictures").join(name))?;
            assert!(kept == svg, "docs/pictures/{name} is old: `make charts` draws it anew");
        }
        Ok(())
    }
}
