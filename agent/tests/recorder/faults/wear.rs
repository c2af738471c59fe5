//! What recording costs an SD card, counted where every byte and every sync passes.

use std::{path::Path, time::Duration};

use nightjar_agent::{
    config::{RecordingConfig, RecordingMode},
    record::recordings_dir,
};

use super::{
    forgetful::{Disk, Operation},
    fresh_disk,
    mount::lock,
    runs::{Film, Running, before_camera, is_soak},
};

/// Shorter than a piece of continuous footage, and than a clip.
const WHILE: Duration = Duration::from_secs(30);

/// What a while of recording comes to.
struct Wear {
    syncs: u64,
    written_bytes: u64,
    media_bytes: u64,
}

fn media_bytes(recordings: &Path) -> u64 {
    let files = std::fs::read_dir(recordings).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// Counts from one sync to another.
async fn steady_state(film: &Film, mode: RecordingMode) -> Option<Wear> {
    let source = film.source();
    let clock = source.clock();
    let directory = tempfile::tempdir().unwrap();
    let (disk, mounted) = fresh_disk(directory.path(), clock.clone())?;
    let config = RecordingConfig { mode, ..RecordingConfig::default() };
    let running = Running::start_with(source, &mounted.path, &config).await.unwrap();
    if mode == RecordingMode::Off {
        running.start_manual().await;
    }
    running.until("footage", async || running.recorder.status().borrow().recording).await;
    let begun_at = clock.monotonic();
    running.until("a sync", async || running.recorder.last_written_at() > begun_at).await;
    let recordings = recordings_dir(&mounted.path);
    lock(&disk).plan(None);
    let media_before = media_bytes(&recordings);
    let synced_at = running.recorder.last_written_at();
    for _ in 0..WHILE.as_secs() {
        running.pass(Duration::from_secs(1)).await;
    }
    let last_sync = synced_at.plus(WHILE).minus(Duration::from_millis(100));
    running.until("the last sync", async || running.recorder.last_written_at() >= last_sync).await;
    let media_bytes = media_bytes(&recordings) - media_before;
    let (syncs, written_bytes) = counts(&lock(&disk));
    running.stop().await;
    Some(Wear { syncs, written_bytes, media_bytes })
}

fn counts(disk: &Disk) -> (u64, u64) {
    (disk.count(Operation::Sync), disk.written_bytes)
}

async fn assert_wear(film: Film) {
    let (event, continuous) = tokio::join!(
        // Nothing but what somebody asks for.
        steady_state(&film, RecordingMode::Off),
        steady_state(&film, RecordingMode::Continuous),
    );
    let (Some(event), Some(continuous)) = (event, continuous) else { return };
    for Wear { syncs, written_bytes, media_bytes } in [&event, &continuous] {
        assert!(*media_bytes > 200_000, "footage was recorded: {media_bytes} bytes");
        assert!(*syncs <= WHILE.as_secs() + 1, "{syncs} syncs");
        // A fragment may lie on either side of the count.
        let most = media_bytes * 11 / 10 + 100_000;
        assert!(*written_bytes <= most, "{written_bytes} bytes for {media_bytes}");
    }
    let syncs = continuous.syncs;
    assert!(syncs <= WHILE.as_secs() / 10 + 1, "{syncs} syncs of continuous footage");
}

#[tokio::test(flavor = "multi_thread")]
async fn recording_writes_what_it_records_and_syncs_once_a_second_at_most() {
    assert_wear(Film::Reel).await;
    if is_soak() {
        before_camera(assert_wear).await;
    }
}
