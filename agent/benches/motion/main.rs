//! `make bench-motion`: what the detector costs, beside a copy of the picture and `OpenCV`, and
//! how well it judges the corpus, where that lies beside the project.
//!
//! Budget: 0.08 ns a pixel on a quiet 640x360, 0.2 on a busy one, on one thread of an x86-64.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "times and counts are small"
)]

#[expect(dead_code, reason = "a test asks for tampering, this does not")]
#[path = "../../tests/motion_corpus/mod.rs"]
mod corpus;
mod cost;
mod opencv;
mod quiet;
#[path = "../../core/tests/all/simulator/mod.rs"]
mod simulator;
mod table;

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result};

use self::table::{Figure, describe_machine, table};

const BEGIN: &str = "<!-- make bench-motion writes below this line -->";
const END: &str = "<!-- make bench-motion writes above this line -->";

fn main() -> Result<()> {
    // `cargo test --benches` runs it too; there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let text = fs::read_to_string(&document).context("docs/benchmarks.md cannot be read")?;
    let (before, rest) = text.split_once(BEGIN).context("the document has no begin mark")?;
    let (_, after) = rest.split_once(END).context("the document has no end mark")?;

    let mut figures = cost::measure()?;
    figures.extend(quiet::false_alarms());
    figures.extend(judge_corpus()?);
    let written = format!("{}\n\n{}", describe_machine()?, table(&figures));
    say(&written);
    let text = format!("{before}{BEGIN}\n\n{written}\n{END}{after}");
    fs::write(&document, text).context("docs/benchmarks.md cannot be written")
}

/// Nothing where there is no corpus, which is said.
fn judge_corpus() -> Result<Vec<Figure>> {
    let score =
        match corpus::score(Path::new(env!("CARGO_BIN_EXE_nightjar-agent")), &corpus::EVERYTHING) {
            Ok(score) => score,
            Err(corpus::Unscored::Skipped(why)) => {
                say(&format!("SKIPPED: the corpus: {why}"));
                return Ok(Vec::new());
            }
            Err(corpus::Unscored::Failed(error)) => return Err(error),
        };
    let missed = (score.events - score.detected) as f64;
    Ok(vec![
        Figure::new(format!("corpus: events missed, of {}", score.events), missed, "").at_most(0.0),
        Figure::new("corpus: false alarms", score.false_alarms as f64, "").at_most(1.0),
        Figure::new("corpus: pairs of events taken for one", score.bridged as f64, "").at_most(1.0),
        Figure::new("corpus: share of event time covered", score.coverage, "").at_least(0.85),
        Figure::new("corpus: delay, p50", score.delay_p50_s, "s").at_most(0.25),
        Figure::new("corpus: delay, p90", score.delay_p90_s, "s"),
        Figure::new("corpus: F-measure of pixels", score.pixel_f, "").at_least(0.75),
    ])
}

fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}
