//! By which route the broker is reached, and when the other one is tried.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long the first route may take before the second one is tried: a port that a firewall drops
/// silently costs so much, once. It doubles with each round in which neither works, for networks on
/// which all takes long.
const HEAD_START: Duration = Duration::from_millis(2_500);
/// The longest that one route is waited for.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How soon it is looked whether the port of MQTT answers again: after a restart of the relay, for
/// instance, of which https came back first.
const LOOK_BACK_FIRST: Duration = Duration::from_mins(1);
/// A network that lets nothing but https out stays like that.
const LOOK_BACK_AT_MOST: Duration = Duration::from_hours(6);

/// A route to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// MQTT over TLS, on a port of its own.
    Direct,
    /// MQTT in a WebSocket, on the port of https.
    WebSocket,
}

impl Route {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Direct => Self::WebSocket,
            Self::WebSocket => Self::Direct,
        }
    }
}

/// Which route comes first.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    first: Route,
    /// Rounds since the last connection in which no route worked.
    failed_rounds: u32,
    look_back_after: Duration,
}

impl Default for Choice {
    fn default() -> Self {
        Self { first: Route::Direct, failed_rounds: 0, look_back_after: LOOK_BACK_FIRST }
    }
}

impl Choice {
    /// Begins with the route that worked last.
    pub(super) fn prefer(&mut self, route: Route) {
        self.first = route;
    }

    pub(super) fn first(&self) -> Route {
        self.first
    }

    /// Returns the routes in the order in which they are tried, each with how long it may take.
    pub(super) fn order(&self) -> [(Route, Duration); 2] {
        let patience = HEAD_START.saturating_mul(1 << self.failed_rounds.min(4)).min(CONNECT_MAX);
        [(self.first, patience), (self.first.other(), CONNECT_MAX)]
    }

    pub(super) fn worked(&mut self, route: Route) {
        self.failed_rounds = 0;
        self.first = route;
        if route == Route::Direct {
            self.look_back_after = LOOK_BACK_FIRST;
        }
    }

    pub(super) fn none_worked(&mut self) {
        self.failed_rounds = self.failed_rounds.saturating_add(1);
    }

    /// Returns when to look for the direct route again; the next time is twice as far.
    pub(super) fn look_back_after(&mut self) -> Duration {
        let after = self.look_back_after;
        self.look_back_after = Self::later(after);
        after
    }

    /// Returns the pause that follows one of this length.
    pub(super) fn later(pause: Duration) -> Duration {
        pause.saturating_mul(2).min(LOOK_BACK_AT_MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_mqtt_has_a_short_head_start_and_what_worked_comes_first() {
        let mut choice = Choice::default();
        assert_eq!(choice.order()[0], (Route::Direct, HEAD_START));
        assert_eq!(choice.order()[1], (Route::WebSocket, CONNECT_MAX));
        choice.worked(Route::WebSocket);
        assert_eq!(choice.order().map(|(route, _)| route), [Route::WebSocket, Route::Direct]);
    }

    #[test]
    fn on_a_network_where_all_takes_long_the_first_route_gets_more_time() {
        let mut choice = Choice::default();
        for _ in 0..9 {
            choice.none_worked();
        }
        assert_eq!(choice.order()[0], (Route::Direct, CONNECT_MAX));
        choice.worked(Route::Direct);
        assert_eq!(choice.order()[0], (Route::Direct, HEAD_START));
    }

    #[test]
    fn the_way_back_is_looked_for_less_and_less_until_it_was_found() {
        let mut choice = Choice::default();
        choice.worked(Route::WebSocket);
        let waits: Vec<_> = (0..12).map(|_| choice.look_back_after()).collect();
        assert_eq!(waits[..2], [LOOK_BACK_FIRST, 2 * LOOK_BACK_FIRST]);
        assert_eq!(waits[11], LOOK_BACK_AT_MOST);
        choice.worked(Route::WebSocket);
        assert_eq!(choice.look_back_after(), LOOK_BACK_AT_MOST);
        choice.worked(Route::Direct);
        assert_eq!(choice.look_back_after(), LOOK_BACK_FIRST);
    }
}
