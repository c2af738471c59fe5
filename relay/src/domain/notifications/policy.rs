//! What is told to whom by what, and how often: decisions only, from a person's wishes and the time.

use std::time::Duration;

use jiff::{Timestamp, civil, tz::TimeZone};
use nightjar_shared::{
    configuration::{Period, Weekday},
    ids::{CameraId, SiteId},
    notification::{Channel, Kind},
    role::{Right, Role},
    time::UnixMillis,
};

use crate::{domain::access, engines::db::notification_rules::RuleRow};

/// What came so late is in the list of the app, and rings nobody.
const LATE: Duration = Duration::from_mins(10);
/// A mail about something that is being filmed waits so long for its picture.
const PICTURE_WAIT: Duration = Duration::from_secs(20);
/// The longest time for which the same is gathered.
pub(super) const COOL_DOWN_MAX: Duration = Duration::from_hours(24);

/// Returns the right at its site that it takes to be told.
pub(super) fn needs(kind: Kind) -> Right {
    match kind {
        Kind::Motion | Kind::Doorbell | Kind::Report | Kind::Tamper => Right::SeePictures,
        Kind::Watched
        | Kind::CameraPaired
        | Kind::CameraRemoved
        | Kind::Quota
        | Kind::Retention
        | Kind::ViewAsked => Right::Own,
        // Of those of an account alone nobody asks.
        Kind::CameraOffline
        | Kind::CameraOnline
        | Kind::Disk
        | Kind::NewSignIn
        | Kind::WebhookOff
        | Kind::Test => Right::SeeCameras,
    }
}

/// Returns whether it is about an account and no site.
pub(super) fn is_of_account(kind: Kind) -> bool {
    matches!(kind, Kind::NewSignIn | Kind::WebhookOff | Kind::Test)
}

/// Returns by what somebody is told who has said nothing about it. Of who signed in, and of who asks for a view
/// of a site, a mail is sent in any case, which nobody can turn off: see `mails`.
fn unasked(kind: Kind, role: Option<Role>) -> &'static [Channel] {
    use Channel::{App, Mail, WebPush, Webhook};
    match kind {
        Kind::Motion | Kind::Doorbell | Kind::Report | Kind::NewSignIn | Kind::ViewAsked => {
            &[App, WebPush, Webhook]
        }
        // Who wants to know says so.
        Kind::Watched => &[],
        // Guests have not asked for mail about somebody else's cameras.
        _ if role.is_some_and(|role| !access::allows(role, Right::Manage)) => {
            &[App, WebPush, Webhook]
        }
        Kind::Tamper
        | Kind::CameraOffline
        | Kind::CameraOnline
        | Kind::Disk
        | Kind::CameraPaired
        | Kind::CameraRemoved
        | Kind::Quota
        | Kind::Retention
        | Kind::WebhookOff
        | Kind::Test => &[App, Mail, WebPush, Webhook],
    }
}

/// Returns for how long the same, again, is counted and not told, unless the person says otherwise.
fn unasked_cool_down(kind: Kind) -> Option<Duration> {
    match kind {
        // Who rings again within a moment is the same person.
        Kind::Doorbell => Some(Duration::from_secs(30)),
        Kind::Motion | Kind::Report | Kind::Tamper => Some(Duration::from_mins(5)),
        Kind::CameraOffline | Kind::CameraOnline | Kind::Watched => Some(Duration::from_mins(10)),
        Kind::Disk | Kind::Quota | Kind::Retention => Some(COOL_DOWN_MAX),
        Kind::NewSignIn
        | Kind::CameraPaired
        | Kind::CameraRemoved
        | Kind::ViewAsked
        | Kind::WebhookOff
        | Kind::Test => None,
    }
}

/// What is due sooner when much waits. Lower is sooner.
pub(super) fn priority(kind: Kind) -> u32 {
    match kind {
        Kind::Doorbell | Kind::Tamper | Kind::NewSignIn => 0,
        Kind::Motion
        | Kind::Report
        | Kind::CameraOffline
        | Kind::Watched
        | Kind::ViewAsked
        | Kind::Test => 1,
        Kind::CameraOnline | Kind::Disk | Kind::CameraPaired | Kind::CameraRemoved => 2,
        Kind::Quota | Kind::Retention | Kind::WebhookOff => 3,
    }
}

/// Returns for how long it is of use to be told by a channel.
pub(super) fn lifetime(kind: Kind, channel: Channel) -> Duration {
    match (kind, channel) {
        // Nobody waits at a door for longer.
        (Kind::Test, _) | (Kind::Doorbell, Channel::WebPush) => Duration::from_mins(10),
        (Kind::Motion | Kind::Report | Kind::Watched, Channel::WebPush) => Duration::from_hours(1),
        (Kind::Motion | Kind::Doorbell | Kind::Report | Kind::Watched, _) => {
            Duration::from_hours(12)
        }
        _ => Duration::from_hours(48),
    }
}

/// Returns how long a message waits for what makes it better.
pub(super) fn wait(kind: Kind, channel: Channel) -> Duration {
    match (kind, channel) {
        (Kind::Motion | Kind::Doorbell | Kind::Report | Kind::Tamper, Channel::Mail) => {
            PICTURE_WAIT
        }
        _ => Duration::ZERO,
    }
}

/// What happens, as far as rules look at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occasion<'a> {
    pub(super) kind: Kind,
    pub(super) site_id: Option<SiteId>,
    pub(super) camera_id: Option<CameraId>,
    /// What the person is to the site.
    pub(super) role: Option<Role>,
    /// By which clock the people of the site live.
    pub(super) time_zone: Option<&'a str>,
    pub(super) happened_at: UnixMillis,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    /// Empty: not at all.
    pub(super) channels: Vec<Channel>,
    pub(super) cool_down: Option<Duration>,
}

impl Decision {
    pub(super) fn is_silent(&self) -> bool {
        self.channels.is_empty()
    }

    /// Leaves the list of the app alone, if it is among what was decided.
    pub(super) fn quietly(mut self) -> Self {
        self.channels.retain(|channel| *channel == Channel::App);
        self
    }
}

/// Decides how somebody is told of something, by their rules for its kind. The rules for its camera count, or
/// else those for its site, or else those for all. Outside the hours of them all, it goes to the list alone.
pub(super) fn decide(rules: &[RuleRow], occasion: Occasion<'_>, now: UnixMillis) -> Decision {
    let fitting = fitting(rules, occasion);
    let cool_down = fitting.iter().filter_map(|rule| rule.cool_down_s).max();
    let cool_down = cool_down.map(Duration::from_secs).or_else(|| unasked_cool_down(occasion.kind));
    let channels: Vec<Channel> = if fitting.is_empty() {
        unasked(occasion.kind, occasion.role).to_vec()
    } else {
        let wanted = |channel: &Channel| {
            let mut rules = fitting.iter().filter(|rule| rule.channels.contains(channel));
            rules.any(|rule| {
                *channel == Channel::App || covers(&rule.hours, occasion.time_zone, now)
            })
        };
        Channel::ALL.iter().copied().filter(wanted).collect()
    };
    let decision = Decision { channels, cool_down };
    if now.since(occasion.happened_at) > LATE { decision.quietly() } else { decision }
}

fn fitting<'a>(rules: &'a [RuleRow], occasion: Occasion<'_>) -> Vec<&'a RuleRow> {
    let of = |is_meant: &dyn Fn(&RuleRow) -> bool| -> Vec<&'a RuleRow> {
        rules.iter().filter(|rule| rule.kind == occasion.kind && is_meant(rule)).collect()
    };
    let of_camera = of(&|rule| rule.camera_id.is_some() && rule.camera_id == occasion.camera_id);
    if !of_camera.is_empty() {
        return of_camera;
    }
    let of_site = of(&|rule| {
        rule.camera_id.is_none() && rule.site_id.is_some() && rule.site_id == occasion.site_id
    });
    if of_site.is_empty() {
        of(&|rule| rule.camera_id.is_none() && rule.site_id.is_none())
    } else {
        of_site
    }
}

/// Returns whether a time lies in some hours of a week at a place. No hours are all hours; a place whose clock
/// nobody knows goes by UTC.
fn covers(hours: &[Period], time_zone: Option<&str>, now: UnixMillis) -> bool {
    let local = local_time(time_zone, now);
    let minute =
        u16::try_from(local.hour()).unwrap_or(0) * 60 + u16::try_from(local.minute()).unwrap_or(0);
    let day = weekday(local.weekday());
    let is_in = |period: &Period| {
        period.day == day && (period.from_minute..period.until_minute).contains(&minute)
    };
    hours.is_empty() || hours.iter().any(is_in)
}

/// Returns what clocks at a place show.
pub(super) fn local_time(time_zone: Option<&str>, at: UnixMillis) -> civil::DateTime {
    let zone = time_zone.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
    zone.to_datetime(Timestamp::from_millisecond(at.0).unwrap_or_default())
}

fn weekday(day: civil::Weekday) -> Weekday {
    match day {
        civil::Weekday::Monday => Weekday::Monday,
        civil::Weekday::Tuesday => Weekday::Tuesday,
        civil::Weekday::Wednesday => Weekday::Wednesday,
        civil::Weekday::Thursday => Weekday::Thursday,
        civil::Weekday::Friday => Weekday::Friday,
        civil::Weekday::Saturday => Weekday::Saturday,
        civil::Weekday::Sunday => Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use nightjar_shared::ids::AccountId;

    use super::*;

    /// Friday, 2027-01-15, 08:00 UTC.
    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn rule(channels: &[Channel]) -> RuleRow {
        RuleRow {
            account_id: AccountId::generate(),
            kind: Kind::Motion,
            site_id: None,
            camera_id: None,
            channels: channels.to_vec(),
            hours: Vec::new(),
            cool_down_s: None,
        }
    }

    fn motion(camera_id: CameraId) -> Occasion<'static> {
        Occasion {
            kind: Kind::Motion,
            site_id: Some(SiteId::generate()),
            camera_id: Some(camera_id),
            role: Some(Role::Owner),
            time_zone: Some("Europe/Zurich"),
            happened_at: NOW,
        }
    }

    fn channels(rules: &[RuleRow], occasion: Occasion<'_>) -> Vec<Channel> {
        decide(rules, occasion, NOW).channels
    }

    #[test]
    fn the_rule_of_a_camera_goes_before_that_of_its_site_and_that_before_the_one_for_all() {
        let occasion = motion(CameraId::generate());
        let of_all = rule(&[Channel::App]);
        let of_site = RuleRow { site_id: occasion.site_id, ..rule(&[Channel::Mail]) };
        let of_camera = RuleRow { camera_id: occasion.camera_id, ..rule(&[Channel::Webhook]) };
        let of_other =
            RuleRow { camera_id: Some(CameraId::generate()), ..rule(&[Channel::WebPush]) };
        let mut rules = vec![of_all, of_other, of_site, of_camera];
        assert_eq!(channels(&rules, occasion), [Channel::Webhook]);
        rules.pop();
        assert_eq!(channels(&rules, occasion), [Channel::Mail]);
        rules.pop();
        assert_eq!(channels(&rules, occasion), [Channel::App]);
    }

    #[test]
    fn outside_the_hours_of_a_rule_the_list_alone_is_told() {
        let occasion = motion(CameraId::generate());
        let at = |from_minute, until_minute| {
            let day = Weekday::Friday;
            let hours = vec![Period { day, from_minute, until_minute }];
            let rules = [RuleRow { hours, ..rule(&[Channel::App, Channel::WebPush]) }];
            channels(&rules, occasion)
        };
        // It is nine o'clock in Zurich.
        assert_eq!(at(9 * 60, 10 * 60), [Channel::App, Channel::WebPush]);
        assert_eq!(at(8 * 60, 9 * 60), [Channel::App]);
        let silent = [rule(&[])];
        assert!(channels(&silent, occasion).is_empty());
    }

    #[test]
    fn rules_of_the_same_place_add_up() {
        let occasion = motion(CameraId::generate());
        let night = Period { day: Weekday::Friday, from_minute: 0, until_minute: 60 };
        let by_night = RuleRow { hours: vec![night], ..rule(&[Channel::Mail]) };
        assert_eq!(channels(&[by_night, rule(&[Channel::App])], occasion), [Channel::App]);
    }

    #[test]
    fn what_comes_late_rings_nobody() {
        let mut occasion = motion(CameraId::generate());
        assert!(channels(&[], occasion).contains(&Channel::WebPush));
        occasion.happened_at = NOW.minus(Duration::from_hours(3));
        assert_eq!(channels(&[], occasion), [Channel::App]);
        // A clock that is ahead says nothing about lateness.
        occasion.happened_at = NOW.plus(Duration::from_hours(3));
        assert!(channels(&[], occasion).contains(&Channel::WebPush));
    }

    #[test]
    fn without_a_rule_guests_get_no_mail_and_nobody_hears_who_watches() {
        let mut occasion = Occasion { kind: Kind::CameraOffline, ..motion(CameraId::generate()) };
        assert!(channels(&[], occasion).contains(&Channel::Mail));
        occasion.role = Some(Role::Viewer);
        assert!(!channels(&[], occasion).contains(&Channel::Mail));
        occasion.kind = Kind::Watched;
        occasion.role = Some(Role::Owner);
        assert!(decide(&[], occasion, NOW).is_silent());
    }

    #[test]
    fn an_unknown_time_zone_is_utc() {
        let morning = [Period { day: Weekday::Friday, from_minute: 480, until_minute: 481 }];
        for zone in [None, Some("Mars/Olympus"), Some("UTC")] {
            assert!(covers(&morning, zone, NOW), "{zone:?}");
        }
        assert!(!covers(&morning, Some("Asia/Tokyo"), NOW));
    }
}
