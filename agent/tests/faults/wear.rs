//! What recording costs an SD card, counted where every byte and every sync passes.

use std::{path::Path, time::Duration};

use nightjar_agent::{
    clock::Clock,
    config::{RecordingConfig, RecordingMode},
    encode::Media,
    record::{self, recordings_dir},
    store::{INDEX_FILE, Store},
};
use tokio::sync::broadcast;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    forgetful::{Disk, Operation},
    fresh_disk,
    mount::lock,
    recorder::{camera, footage_of},
};

const WHILE: Duration = Duration::from_secs(15);

fn media_bytes(recordings: &Path) -> u64 {
    let files = std::fs::read_dir(recordings).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// Syncs, bytes written and bytes of media in [`WHILE`] of recording.
async fn steady_state(media: &Media, mode: RecordingMode) -> Option<(u64, u64, u64)> {
    let directory = tempfile::tempdir().unwrap();
    let (disk, mounted) = fresh_disk(directory.path())?;
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let store = Store::open(&mounted.path.join(INDEX_FILE)).unwrap();
    let config = RecordingConfig { mode, ..RecordingConfig::default() };
    let (motion, changes) = broadcast::channel(1);
    let path = &mounted.path;
    let input = record::Input { media: media.clone(), motion: changes };
    let recorder =
        record::start(input, store, &config, path, Clock::default(), &tracker, cancel.clone())
            .await
            .unwrap();
    footage_of(media, Duration::from_secs(2)).await;
    if mode == RecordingMode::Off {
        recorder.start_manual().await.unwrap();
    }
    footage_of(media, Duration::from_secs(3)).await;
    let recordings = recordings_dir(path);
    lock(&disk).plan(None);
    let media_before = media_bytes(&recordings);
    footage_of(media, WHILE).await;
    let media_bytes = media_bytes(&recordings) - media_before;
    let (syncs, written) = counts(&lock(&disk));
    drop(recorder);
    cancel.cancel();
    tracker.close();
    tracker.wait().await;
    drop(motion);
    Some((syncs, written, media_bytes))
}

fn counts(disk: &Disk) -> (u64, u64) {
    (disk.count(Operation::Sync), disk.written_bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn recording_writes_what_it_records_and_syncs_once_a_second_at_most() {
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let media = camera(&tracker, &cancel).await;
    let (event, continuous) = tokio::join!(
        // Nothing but what somebody asks for.
        steady_state(&media, RecordingMode::Off),
        steady_state(&media, RecordingMode::Continuous),
    );
    cancel.cancel();
    let (Some(event), Some(continuous)) = (event, continuous) else { return };
    for (syncs, written, media) in [event, continuous] {
        assert!(media > 100_000, "footage was recorded: {media} bytes");
        assert!(syncs <= WHILE.as_secs() + 1, "{syncs} syncs");
        // A fragment may lie on either side of the count.
        assert!(written <= media * 11 / 10 + 100_000, "{written} bytes for {media}");
    }
    assert!(continuous.0 <= 3, "{} syncs of continuous footage", continuous.0);
}
