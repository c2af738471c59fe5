//! How far long work is: on a terminal a line that is drawn over and goes when the work is done, elsewhere a
//! line for each stage and each tenth of it.

use std::{
    env,
    io::{IsTerminal as _, Write as _, stderr},
    sync::{Mutex, PoisonError},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::{Progress, Stage};

const WITH_AN_END: &str = "{msg} {wide_bar} {percent:>3} %, {eta} left";
const WITHOUT_END: &str = "{msg} {spinner} for {elapsed}";
/// Pictures a second of the line.
const REDRAWN_HZ: u8 = 5;

/// Shows progress on standard error. Dropping it takes its line away.
pub(super) struct ProgressLine {
    bar: Option<ProgressBar>,
}

impl ProgressLine {
    /// Shows nothing before there is something to show.
    pub(super) fn new() -> Self {
        // A terminal that cannot go back would fill with lines.
        let goes_back = env::var("TERM").is_ok_and(|kind| !kind.is_empty() && kind != "dumb");
        let target = || ProgressDrawTarget::stderr_with_hz(REDRAWN_HZ);
        let is_drawn = goes_back && stderr().is_terminal();
        Self { bar: is_drawn.then(|| ProgressBar::with_draw_target(None, target())) }
    }

    /// Gives what the work tells.
    pub(super) fn progress(&self) -> Progress {
        match &self.bar {
            Some(bar) => drawn(bar.clone()),
            None => in_lines(),
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn drawn(bar: ProgressBar) -> Progress {
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

fn in_lines() -> Progress {
    let last = Mutex::new(None);
    Progress::new(move |stage, done, of| {
        let tenth = of.filter(|of| *of > 0).map(|of| done.saturating_mul(10) / of);
        let now = Some((stage, tenth));
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == now {
            return;
        }
        *last = now;
        let share = tenth.map_or_else(String::new, |tenth| format!(" {} %", tenth * 10));
        // Nobody may be there to read it.
        let _ = writeln!(stderr(), "{}{share}", words(stage));
    })
}

fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::CopyingDatabase => "copying the database",
        Stage::Writing => "writing the backup",
        Stage::WritingClips => "writing clips",
        Stage::Checking => "checking the backup",
        Stage::Unpacking => "unpacking",
        Stage::Migrating => "migrating the database",
        Stage::Loading => "loading the database",
        Stage::Sealing => "sealing secrets",
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
