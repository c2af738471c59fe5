//! The task of day and night: takes the infrared filter away and lights the lamp when it is dark. When that
//! is, is decided in `nightjar_core::night`.

mod line;

use std::time::Duration;

use nightjar_core::{
    monotonic::MonotonicNanos,
    night::{DayNight, Infrared, Light},
};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::line::Line;
pub use self::line::LineProblem;
use crate::{
    clock::monotonic_now,
    config::{NightConfig, NightMode, SwitchConfig},
    encode::Media,
};

const EVERY: Duration = Duration::from_secs(1);
/// Whatever was switched is switched again after so long: a line that is gone is noticed, and one that
/// comes back found.
const SWITCHED_AGAIN: Duration = Duration::from_secs(10);
/// What was seen before that says nothing of now.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// How it is, for the camera's health.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NightStatus {
    /// Nothing where there is nothing to switch.
    pub night: Option<bool>,
    /// When filter or lamp was switched last.
    pub switched_at: Option<MonotonicNanos>,
    /// What cannot be switched, and what helps.
    pub problems: Vec<String>,
}

/// Starts the task, where there is something to switch.
pub fn start(
    config: &NightConfig,
    media: Media,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) -> watch::Receiver<NightStatus> {
    let (status, told) = watch::channel(NightStatus::default());
    if config.is_used() {
        let all = Switches::new(config, media.clone());
        let rule = DayNight::new(config.ir_lamp.is_some());
        let task = NightTask { mode: config.mode, rule, media, status, switched_at: None };
        tracker.spawn(task.run(all, cancel));
    }
    told
}

/// Says of everything that is to be switched where it is, or what is wrong and what helps; for `doctor`.
pub fn check(config: &NightConfig) -> Vec<Result<String, LineProblem>> {
    let switches = [&config.ir_cut, &config.ir_lamp].into_iter().flatten();
    let lines = switches.filter(|switch| switch.control.is_none());
    lines.map(line::look_up).collect()
}

struct NightTask {
    mode: NightMode,
    rule: DayNight,
    media: Media,
    status: watch::Sender<NightStatus>,
    switched_at: Option<MonotonicNanos>,
}

impl NightTask {
    async fn run(mut self, mut switches: Switches, cancel: CancellationToken) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last: Option<(Infrared, Instant)> = None;
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            let wanted = self.decide();
            let known = last.filter(|(_, at)| at.elapsed() < SWITCHED_AGAIN);
            if known.is_none_or(|(infrared, _)| infrared != wanted) {
                if last.is_none_or(|(infrared, _)| infrared != wanted) {
                    tracing::info!(filter = wanted.filter, lamp = wanted.lamp, "infrared");
                    let now = monotonic_now();
                    self.switched_at = Some(now);
                    self.media.disturbed(now);
                }
                last = Some((wanted, Instant::now()));
                let Some(back) = self.switch(switches, wanted).await else { return };
                switches = back;
            }
        }
        // A lamp does not burn for a camera that is off.
        self.switch(switches, Infrared::DAY).await;
    }

    fn decide(&mut self) -> Infrared {
        if self.media.is_private() {
            return Infrared::PRIVATE;
        }
        match self.mode {
            NightMode::Day => Infrared::DAY,
            NightMode::Night => Infrared::NIGHT,
            NightMode::Auto => match self.light() {
                Some(light) => self.rule.observe(light, monotonic_now()),
                None => self.rule.infrared(),
            },
        }
    }

    fn light(&self) -> Option<Light> {
        let (light, at) = self.media.light()?;
        (monotonic_now().since(at) < SEEN_WITHIN).then_some(light)
    }

    /// Switches, and tells how it is. Gives the switches back; nothing after a panic among them.
    async fn switch(&self, switches: Switches, wanted: Infrared) -> Option<Switches> {
        let switching = spawn_blocking(move || switches.switch(wanted));
        let (switches, problems) = match switching.await {
            Ok(done) => done,
            Err(panic) => {
                tracing::error!(%panic, "the infrared filter and lamp are switched no more");
                return None;
            }
        };
        let night = Some(match self.mode {
            NightMode::Day => false,
            NightMode::Night => true,
            NightMode::Auto => self.rule.is_night(),
        });
        let now = NightStatus { night, switched_at: self.switched_at, problems };
        self.status.send_if_modified(|told| {
            let news = now.problems.iter().filter(|problem| !told.problems.contains(problem));
            news.for_each(|problem| tracing::warn!(problem, "day and night are not switched"));
            let differs = *told != now;
            *told = now;
            differs
        });
        Some(switches)
    }
}

/// Filter and lamp.
struct Switches {
    filter: Option<Switch>,
    lamp: Option<Switch>,
    media: Media,
}

struct Switch {
    key: &'static str,
    config: SwitchConfig,
    line: Option<Line>,
}

impl Switches {
    fn new(config: &NightConfig, media: Media) -> Self {
        let switch = |key, config: &Option<SwitchConfig>| {
            config.clone().map(|config| Switch { key, config, line: None })
        };
        Self {
            filter: switch("night.ir_cut", &config.ir_cut),
            lamp: switch("night.ir_lamp", &config.ir_lamp),
            media,
        }
    }

    /// Blocks. Says what could not be switched.
    fn switch(mut self, wanted: Infrared) -> (Self, Vec<String>) {
        let media = &self.media;
        let outcomes = [
            self.filter.as_mut().map(|it| it.set(wanted.filter, media)),
            self.lamp.as_mut().map(|it| it.set(wanted.lamp, media)),
        ];
        let problems = outcomes.into_iter().flatten().filter_map(Result::err).collect();
        (self, problems)
    }
}

impl Switch {
    fn set(&mut self, active: bool, media: &Media) -> Result<(), String> {
        self.try_to_set(active, media).map_err(|problem| format!("{}: {problem}", self.key))
    }

    fn try_to_set(&mut self, active: bool, media: &Media) -> Result<(), String> {
        if let Some(control) = &self.config.control {
            return media.switch_control(control, active != self.config.active_low);
        }
        if let Some(line) = &self.line {
            let set = line.set(active);
            if set.is_err() {
                // It is looked for anew: its chip may be back, under another name.
                self.line = None;
            }
            return set.map_err(|problem| problem.to_string());
        }
        let taken = Line::take(&self.config, active);
        self.line = Some(taken.map_err(|problem| problem.to_string())?);
        Ok(())
    }
}
