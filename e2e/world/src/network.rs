//! The network: each way between two of the world's parts may be slow, cut, or lose and double what
//! it carries. A way that is cut holds what goes along it back, as TCP does, until it is healed or an
//! end gives up.

use std::{sync::Mutex, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::chance::Chance;

/// How bad the networks of a seed are, in percent of what is carried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Requests, and answers, that are lost.
    pub(crate) loss: u64,
    /// Messages and requests that arrive twice.
    pub(crate) doubling: u64,
    /// What takes seconds instead of milliseconds, and so is overtaken.
    pub(crate) slowness: u64,
}

impl Weather {
    /// A third of the seeds has good weather, so that rare orders are met without noise as well.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        match chance.below(3) {
            0 => Self { loss: 0, doubling: 1, slowness: 2 },
            1 => Self { loss: 4, doubling: 5, slowness: 10 },
            _ => Self { loss: 15, doubling: 15, slowness: 25 },
        }
    }

    pub(crate) const FAIR: Self = Self { loss: 0, doubling: 0, slowness: 0 };
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives,
    /// It never arrives, and nobody says so.
    Lost,
    /// It arrives; its answer does not.
    AnswerLost,
    /// It arrives, and once more later.
    Doubled,
    /// The connection breaks at once.
    Refused,
}

/// One way, in both directions.
pub(crate) struct Way {
    open: watch::Sender<bool>,
}

impl Default for Way {
    fn default() -> Self {
        Self { open: watch::Sender::new(true) }
    }
}

impl Way {
    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Waits until the way is open.
    pub(crate) async fn opens(&self) {
        let mut open = self.open.subscribe();
        // The sender lives as long as the way.
        let _ = open.wait_for(|open| *open).await;
    }

    /// Waits until it has been cut for `long` without a break.
    pub(crate) async fn is_cut_for(&self, long: Duration) {
        let mut open = self.open.subscribe();
        loop {
            let _ = open.wait_for(|open| !*open).await;
            let until = Instant::now() + long;
            tokio::select! {
                biased;
                _ = open.wait_for(|open| *open) => {}
                () = tokio::time::sleep_until(until) => return,
            }
        }
    }
}

/// The weather and the chance that it comes from.
pub(crate) struct Network {
    weather: Mutex<Weather>,
    chance: Mutex<Chance>,
}

impl Network {
    pub(crate) fn new(weather: Weather, chance: Chance) -> Self {
        Self { weather: Mutex::new(weather), chance: Mutex::new(chance) }
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    pub(crate) fn fate(&self) -> Fate {
        let (weather, mut chance) = (self.weather(), self.chance.lock().unwrap());
        if chance.percent(weather.loss) {
            return match chance.below(3) {
                0 => Fate::Lost,
                1 => Fate::AnswerLost,
                _ => Fate::Refused,
            };
        }
        if chance.percent(weather.doubling) { Fate::Doubled } else { Fate::Arrives }
    }

    /// Whether a message arrives twice.
    pub(crate) fn doubles(&self) -> bool {
        let weather = self.weather();
        self.chance.lock().unwrap().percent(weather.doubling)
    }

    /// Lets pass what a way takes.
    pub(crate) async fn travel(&self) {
        let weather = self.weather();
        let delay = {
            let mut chance = self.chance.lock().unwrap();
            let slow = chance.percent(weather.slowness);
            if slow { chance.millis(200, 3_000) } else { chance.millis(1, 40) }
        };
        sleep(delay).await;
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }
}
