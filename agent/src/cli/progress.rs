//! How far long work is, on a terminal: a line that is drawn over and goes when the work is done.
//! In a pipe, a file or a log nothing of it is written.

use std::env;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::{Progress, Stage};

const WITH_AN_END: &str = "{msg} {wide_bar} {percent:>3} %, {eta} left";
const WITHOUT_END: &str = "{msg} {spinner} for {elapsed}";
/// Pictures a second of the line.
const REDRAWN_HZ: u8 = 5;

/// A line on standard error. Dropping it takes it away.
pub(super) struct ProgressLine {
    bar: ProgressBar,
}

impl ProgressLine {
    /// Shows nothing before there is something to show.
    pub(super) fn new() -> Self {
        // A terminal that cannot go back would fill with lines.
        let goes_back = env::var("TERM").is_ok_and(|kind| !kind.is_empty() && kind != "dumb");
        let target = if goes_back {
            ProgressDrawTarget::stderr_with_hz(REDRAWN_HZ)
        } else {
            ProgressDrawTarget::hidden()
        };
        Self { bar: ProgressBar::with_draw_target(None, target) }
    }

    /// Gives what the work tells.
    pub(super) fn progress(&self) -> Progress {
        let bar = self.bar.clone();
        Progress::new(move |stage, done, of| {
            let message = words(stage);
            if bar.message() != message {
                // Each stage takes its own time.
                bar.reset();
                bar.set_style(style(of.is_some()));
                bar.set_message(message);
            }
            if let Some(of) = of {
                bar.set_length(of);
            }
            bar.set_position(done);
        })
    }

    /// Prints something else in between.
    pub(super) fn beside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Searching => "looking for footage",
        Stage::Writing => "writing",
        Stage::Comparing => "comparing index and recordings",
        Stage::Mending => "mending",
        Stage::Looking => "looking for motion",
    }
}

fn style(has_end: bool) -> ProgressStyle {
    let template = if has_end { WITH_AN_END } else { WITHOUT_END };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_can_be_drawn() {
        for template in [WITH_AN_END, WITHOUT_END] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
