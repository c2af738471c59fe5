//! A board without a clock of its own: the time jumps while it records.

use std::{fs, path::Path};

use nightjar_agent::{
    clock::unix_now,
    store::{Clip, ClipKind, ClipState, INDEX_FILE, Store},
};
use nightjar_shared::time::ClockState;
use rustix::process::Signal;

use crate::{
    pairing::{faked_time, pair_with_file},
    relay::{Relay, until},
    support::{Home, agent, output, wait_for},
};

/// Pre-roll, the group before it and rounding.
const MAX_OVERLAP_MS: i64 = 3_500;

fn clips(home: &Home) -> Vec<Clip> {
    let index = home.data_dir().join(INDEX_FILE);
    if !index.exists() {
        return Vec::new();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { Store::open(&index).unwrap().clips().await.unwrap() })
}

fn closed_events(home: &Home) -> usize {
    let of_events = |clip: &&Clip| clip.kind == ClipKind::Motion && clip.state == ClipState::Closed;
    clips(home).iter().filter(of_events).count()
}

pub(crate) fn set_clock(file: &Path, time: &str) {
    let new = file.with_extension("new");
    fs::write(&new, time).unwrap();
    fs::rename(new, file).unwrap();
}

/// Motion without end, in clips of five seconds; footage of more than a day is deleted.
/// Quiet for longer than the post-roll: motion that resumes within it would go on as one event.
fn home() -> Home {
    Home::with_config(
        "name = \"test\"\n[source]\nkind = \"synthetic\"\nwidth = 320\nheight = 240\nfps = 10\n\
         quiet_s = 4\nwalk_s = 3\n\
         [recording]\nmode = \"both\"\npre_roll_s = 1\npost_roll_s = 1\nmin_free_percent = 0\nmax_clip_s = 5\n\
         max_age_days = 1\ncontinuous_max_age_days = 1\n",
    )
}

#[tokio::test]
async fn what_the_relay_was_told_before_the_clock_was_set_gets_its_time_there_too() {
    let Some(library) = faked_time() else { return };
    let Some(relay) = Relay::start().await else { return };
    let home = home();
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let time = home.path("time");
    set_clock(&time, "@1970-01-01 01:00:00");
    let begun_at = unix_now();
    let _agent = home.run_with(&[
        ("LD_PRELOAD", library.as_os_str()),
        ("FAKETIME_TIMESTAMP_FILE", time.as_os_str()),
        ("FAKETIME_NO_CACHE", "1".as_ref()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".as_ref()),
    ]);
    let told = until("an event of 1970 with its clip", async || {
        let clip = relay.clips(&camera).await.into_iter().find(|clip| clip["state"] == "ready")?;
        let event = relay.event(clip["event_id"].as_str()?.parse().ok()?).await?;
        (event["state"] == "ended").then_some((event, clip))
    })
    .await;
    let (event, clip) = told;
    assert_eq!((&event["clock"], &clip["clock"]), (&"unsynced".into(), &"unsynced".into()));

    set_clock(&time, "+0");
    let is_right = |told: &serde_json::Value| {
        let from_now = |field: &str| told[field].as_i64().map(|at| (at - begun_at.0).abs());
        let right = |field| from_now(field).is_some_and(|away| away < 600_000);
        told["clock"] == "synced" && right("started_at") && right("ended_at")
    };
    until("the times to be right at the relay", async || {
        let events = relay.events(&camera).await;
        let clips = relay.clips(&camera).await;
        let find = |told: &[serde_json::Value], field: &str, id: &serde_json::Value| {
            told.iter().any(|it| it[field] == *id && is_right(it))
        };
        (find(&events, "event_id", &event["event_id"]) && find(&clips, "clip_id", &clip["clip_id"]))
            .then_some(())
    })
    .await;
}

#[test]
fn a_clock_that_jumps_neither_stops_recording_nor_deletes_and_is_corrected() {
    let Some(library) = faked_time() else { return };
    let home = home();
    let time = home.path("time");
    set_clock(&time, "@1970-01-01 01:00:00");
    let begun_at = unix_now();
    let mut running = home.run_with(&[
        ("LD_PRELOAD", library.as_os_str()),
        ("FAKETIME_TIMESTAMP_FILE", time.as_os_str()),
        ("FAKETIME_NO_CACHE", "1".as_ref()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".as_ref()),
    ]);
    let mut seen = Vec::new();
    // The recorder's own tests have all jumps, on a clock that they turn.
    let jumps = ["@1970-01-01 01:00:00", "@2050-06-01 00:00:00", "@2035-06-01 00:00:00", "+0"];
    let is_soak = std::env::var_os("NIGHTJAR_SOAK").is_some();
    for jump in jumps.into_iter().filter(|jump| is_soak || !jump.starts_with("@20")) {
        set_clock(&time, jump);
        let events = closed_events(&home);
        // An event's clip may be closed a moment after the event.
        let now = wait_for(&format!("an event and its clip after the jump to {jump}"), || {
            let now: Vec<_> = clips(&home).into_iter().map(|clip| clip.clip_id).collect();
            (closed_events(&home) > events && now.len() > seen.len()).then_some(now)
        });
        let deleted: Vec<_> = seen.iter().filter(|id| !now.contains(id)).collect();
        assert!(deleted.is_empty(), "{jump}: clips were deleted: {deleted:?}");
        seen = now;
    }
    wait_for("the times to be corrected", || {
        let wrong = |clip: &Clip| (clip.started_at.0 - begun_at.0).abs() > 600_000;
        (!clips(&home).iter().any(wrong)).then_some(())
    });
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(0));
    assert!(home.log().contains("1970-01-01"), "the clock was faked: {}", home.log());
    assert_in_order(&clips(&home), begun_at.0);
    let mut fsck = agent();
    assert!(output(fsck.arg("fsck").arg("--data-dir").arg(home.data_dir()), "").status.success());
}

/// In the order in which they were recorded clips have rising times, of today, and overlap by no
/// more than a pre-roll.
fn assert_in_order(clips: &[Clip], begun_at_ms: i64) {
    let now_ms = unix_now().0;
    for clip in clips {
        let ended_at = clip.ended_at.unwrap();
        assert_eq!(clip.clock, ClockState::Synced, "{clip:?}");
        assert!(clip.started_at.0 >= begun_at_ms - 2_000 && ended_at.0 <= now_ms + 2_000);
    }
    for pair in clips.windows(2) {
        // The pre-roll of an event may reach back beyond the piece before it.
        assert!(pair[1].started_at.0 >= pair[0].started_at.0 - MAX_OVERLAP_MS, "{pair:?}");
        // A gap says that the machine was slow: the recorder's own tests of jumps allow none.
        let overlap_ms = pair[0].ended_at.unwrap().0 - pair[1].started_at.0;
        assert!(overlap_ms <= MAX_OVERLAP_MS, "{overlap_ms} ms: {pair:?}");
    }
}
