//! What people are told, in words: all of it, in one place.

use std::time::Duration;

use nightjar_shared::{
    notification::{Form, Kind},
    time::UnixMillis,
};
use serde_json::Value;

use super::{details, policy};
use crate::engines::db::notifications::{EventFacts, NotificationRow};

pub(super) struct Text {
    /// One line.
    pub(super) title: String,
    /// A line or two; may be empty.
    pub(super) body: String,
}

/// Writes what is told of something. `more` is how often it happened again, which is what a digest is about.
pub(super) fn write(
    row: &NotificationRow,
    event: Option<&EventFacts>,
    form: Form,
    more: u64,
) -> Text {
    let facts = &row.details;
    let camera = details::text(facts, details::CAMERA).unwrap_or("a camera");
    let title = match form {
        Form::Digest => again(row.kind, more, camera, facts),
        Form::News | Form::Picture => title(row.kind, camera, facts),
    };
    Text { title, body: body(row, event) }
}

fn title(kind: Kind, camera: &str, facts: &Value) -> String {
    let site = details::text(facts, details::SITE).unwrap_or("your site");
    match kind {
        Kind::Motion => format!("Motion at {camera}"),
        Kind::Doorbell => format!("Somebody rang at {camera}"),
        Kind::Report => {
            let what = details::text(facts, details::LABEL).unwrap_or("Something happened");
            format!("{what} at {camera}")
        }
        Kind::Tamper => format!("{camera} may have been covered or turned"),
        Kind::CameraOffline => format!("{camera} is offline"),
        Kind::CameraOnline => format!("{camera} is back"),
        Kind::Disk => format!("{camera} has trouble with its disk"),
        Kind::Watched => {
            let person = details::text(facts, details::PERSON).unwrap_or("Somebody");
            format!("{person} watches {camera}")
        }
        Kind::NewSignIn => "A new sign-in to your account".to_owned(),
        Kind::CameraPaired => format!("{camera} was added to {site}"),
        Kind::CameraRemoved => format!("{camera} was removed from {site}"),
        Kind::Quota => format!("The room for footage of {site} is nearly used up"),
        Kind::Retention => format!("Footage of {site} will soon be deleted"),
        Kind::ViewAsked => {
            let person = details::text(facts, details::PERSON).unwrap_or("An administrator");
            format!("{person}, who runs the relay, asks to see {site}")
        }
        Kind::WebhookOff => {
            let name = details::text(facts, details::WEBHOOK).unwrap_or("A webhook");
            format!("{name} is turned off: it takes nothing")
        }
        Kind::Test => "This is a test".to_owned(),
    }
}

fn again(kind: Kind, more: u64, camera: &str, facts: &Value) -> String {
    let times = if more == 1 { "once more".to_owned() } else { format!("{more} more times") };
    match kind {
        Kind::Motion => format!("{more} more at {camera}"),
        Kind::Doorbell => format!("Somebody rang {times} at {camera}"),
        Kind::CameraOffline => format!("{camera} went offline {times}"),
        Kind::CameraOnline => format!("{camera} came back {times}"),
        Kind::Watched => format!("{camera} was watched {times}"),
        Kind::Report
        | Kind::Tamper
        | Kind::Disk
        | Kind::NewSignIn
        | Kind::CameraPaired
        | Kind::CameraRemoved
        | Kind::Quota
        | Kind::Retention
        | Kind::ViewAsked
        | Kind::WebhookOff
        | Kind::Test => format!("{} ({times})", title(kind, camera, facts)),
    }
}

fn body(row: &NotificationRow, event: Option<&EventFacts>) -> String {
    let facts = &row.details;
    let mut parts = Vec::new();
    if let Some(sentence) = details::text(facts, details::SENTENCE) {
        parts.push(sentence.to_owned());
    }
    match row.kind {
        Kind::NewSignIn => {
            let named = [details::PROGRAM, details::NETWORK];
            parts.extend(
                named.iter().filter_map(|name| details::text(facts, name)).map(str::to_owned),
            );
        }
        Kind::Test => parts.push("What is told will arrive here.".to_owned()),
        _ => parts.extend(details::text(facts, details::SITE).map(str::to_owned)),
    }
    if let Some(event) = event {
        if !event.zones.is_empty() {
            parts.push(event.zones.join(", "));
        }
        parts.extend(event.duration_ms.map(|ms| length(Duration::from_millis(ms))));
    }
    if row.kind != Kind::Test {
        parts.push(clock(details::text(facts, details::TIME_ZONE), row.happened_at));
    }
    parts.join(" · ")
}

fn length(duration: Duration) -> String {
    let seconds = duration.as_secs().max(1);
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) }
}

/// Writes a time as clocks at its place show it; where nobody knows the place, that it is UTC.
fn clock(time_zone: Option<&str>, at: UnixMillis) -> String {
    let known = time_zone.filter(|name| jiff::tz::TimeZone::get(name).is_ok());
    let local = policy::local_time(known, at);
    let zone = if known.is_some() { "" } else { " UTC" };
    format!("{:02}:{:02}{zone}", local.hour(), local.minute())
}

#[cfg(test)]
mod tests {
    use nightjar_shared::{
        ids::{AccountId, NotificationId},
        role::Right,
    };
    use serde_json::json;

    use super::*;

    fn row(kind: Kind, facts: Value) -> NotificationRow {
        NotificationRow {
            notification_id: NotificationId::generate(),
            account_id: AccountId::generate(),
            kind,
            site_id: None,
            camera_id: None,
            event_id: None,
            needs: Right::SeeCameras,
            details: facts,
            happened_at: UnixMillis(1_800_000_000_000),
            created_at: UnixMillis(0),
            more: 0,
            more_told: 0,
            gathers_until: None,
            is_listed: true,
            read_at: None,
            muted_by: 0,
        }
    }

    #[test]
    fn every_kind_and_form_says_something_on_one_line() {
        for kind in Kind::ALL {
            for form in Form::ALL {
                let Text { title, body } = write(&row(*kind, json!({})), None, *form, 2);
                assert!((5..90).contains(&title.len()), "{kind}: {title}");
                assert!(!title.contains('\n') && !body.contains('\n'), "{kind}: {body}");
            }
        }
    }

    #[test]
    fn motion_names_its_camera_its_zones_and_the_time_there() {
        let facts = json!({"camera": "Front door", "site": "Home", "time_zone": "Europe/Zurich"});
        let event = EventFacts {
            ended_at: None,
            clip_id: None,
            zones: vec!["Drive".to_owned()],
            duration_ms: Some(12_400),
            picture_key: None,
        };
        let motion = row(Kind::Motion, facts);
        let told = write(&motion, Some(&event), Form::News, 0);
        assert_eq!(told.title, "Motion at Front door");
        assert_eq!(told.body, "Home · Drive · 12 s · 09:00");
        assert_eq!(write(&motion, None, Form::Digest, 12).title, "12 more at Front door");
    }

    #[test]
    fn without_a_time_zone_it_says_which_clock_it_goes_by() {
        let told = write(&row(Kind::CameraOffline, json!({"camera": "Door"})), None, Form::News, 0);
        assert_eq!((told.title.as_str(), told.body.as_str()), ("Door is offline", "08:00 UTC"));
    }
}
