//! What a camera has recorded, without the hours: the recorder itself writes it, fed with frames that
//! were encoded before.

use std::{fs, path::Path, time::Duration};

use nightjar_agent::{
    config::{RecordingConfig, RecordingMode},
    motion_change::MotionChange,
    record,
    store::{ClipState, INDEX_FILE, Store},
};
use nightjar_shared::{
    event::{EventEndReason, EventState},
    ids::EventId,
};
use tokio::sync::broadcast;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    source::{Source, taken},
    support::Home,
};

/// Frames a second of what [`recorded`] gives.
pub(crate) const FPS: f64 = 15.0;

/// A home with continuous footage, an event, and continuous footage again. Nothing runs.
pub(crate) fn recorded(config: &str) -> Home {
    let home = Home::with_config(config);
    fs::create_dir_all(home.data_dir()).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(record_into(&home.data_dir()));
    home
}

async fn record_into(data_dir: &Path) {
    let store = Store::open(&data_dir.join(INDEX_FILE)).unwrap();
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let (motion, changes) = broadcast::channel(4);
    let source = Source::reel();
    let config = RecordingConfig {
        mode: RecordingMode::Both,
        pre_roll_s: 1,
        post_roll_s: 1,
        min_free_percent: 0,
        ..RecordingConfig::default()
    };
    let input = record::Input {
        frames: source.frames(),
        stills: source.stills(),
        motion: changes,
        tampering: broadcast::channel(1).1,
    };
    let started = record::start(
        input,
        store.clone(),
        &config,
        data_dir,
        source.clock(),
        &tracker,
        cancel.clone(),
    );
    let _recorder = started.await.unwrap();
    let event_id = EventId::generate();
    for state in [EventState::Started, EventState::Ended] {
        let at = source.footage(Duration::from_secs(5)).await;
        let ended = state == EventState::Ended;
        let change = MotionChange {
            event_id,
            state,
            at,
            boxes: Vec::new(),
            zones: Vec::new(),
            reason: ended.then_some(EventEndReason::Still),
            peak_area: 0.02,
            duration: Duration::from_secs(1),
        };
        motion.send(change).unwrap();
        taken(&motion).await;
    }
    source.footage(Duration::from_secs(4)).await;
    let closed = async || {
        let clips = store.clips().await.unwrap();
        clips.iter().filter(|clip| clip.state == ClipState::Closed).count() >= 2
    };
    source.until("the event's end", closed).await;
    cancel.cancel();
    tracker.close();
    tracker.wait().await;
}
