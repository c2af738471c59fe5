//! What the agent makes of files and an index that somebody else has changed.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    time::Duration,
};

use nightjar_agent::{
    clock::boot_id,
    config::RecordingConfig,
    progress::Progress,
    record::{DamageKind, fsck, recordings_dir, repair},
    store::{Clip, ClipState},
};
use nightjar_shared::time::UnixMillis;

use crate::{
    camera::{Camera, Stopped, config, video},
    footage,
};

/// Records a clip for each length, and stops.
async fn recorded(lengths: &[Duration]) -> (Stopped, Vec<Clip>) {
    let camera = Camera::start(config()).await;
    camera.footage(Duration::from_secs(1)).await;
    for length in lengths {
        camera.recorder.start_manual().await.unwrap();
        camera.footage(*length).await;
        camera.recorder.stop_manual().await.unwrap();
    }
    let left = camera.stop().await;
    let clips = left.store.clips().await.unwrap();
    assert_eq!(clips.len(), lengths.len());
    assert!(clips.iter().all(|clip| clip.state == ClipState::Closed && clip.parts.len() == 2));
    (left, clips)
}

const SHORT: Duration = Duration::from_millis(700);

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_deleted_behind_the_agents_back_is_noticed_at_start() {
    let (Stopped { directory, store, source }, clips) = recorded(&[SHORT]).await;
    let (clip, clip_id) = (&clips[0], clips[0].clip_id);
    let recordings = recordings_dir(directory.path());
    fs::remove_file(recordings.join(video(clip))).unwrap();
    let report = fsck(&store, &recordings, &Progress::unheard()).await.unwrap();
    assert_eq!(report.damages[0].kind, DamageKind::MissingFile);
    drop(store);

    let camera = Camera::start_in(directory, source, config()).await;
    let clip = camera.store.clip(clip_id).await.unwrap().unwrap();
    assert_eq!(clip.state, ClipState::Gone);
    assert_eq!(fs::read_dir(&recordings).unwrap().count(), 0, "its thumbnail is gone too");
    let problems = camera.recorder.status().borrow().problems();
    assert!(problems.iter().any(|problem| problem.contains("1 clips are missing")), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_an_index_are_adopted() {
    let (Stopped { directory, store, source }, clips) = recorded(&[SHORT]).await;
    let (before, clip_id) = (&clips[0], clips[0].clip_id);
    drop(store);
    for name in ["agent.db", "agent.db-wal", "agent.db-shm"] {
        let _ = fs::remove_file(directory.path().join(name));
    }

    let camera = Camera::start_in(directory, source, config()).await;
    let after = camera.store.clip(clip_id).await.unwrap().unwrap();
    assert_eq!((after.state, after.duration_ms), (ClipState::Closed, before.duration_ms));
    assert!((after.started_at.0 - before.started_at.0).abs() < 2_000);
    assert_eq!(after.parts.len(), before.parts.len());
    // The clock is set, and says that this boot began long after.
    let boot_at = UnixMillis(before.started_at.0 + 3_600_000);
    camera.store.correct_times(boot_id().unwrap(), boot_at).await.unwrap();
    let later = camera.store.clip(clip_id).await.unwrap().unwrap();
    assert_eq!(later.started_at, after.started_at, "footage of another boot");
    camera.assert_in_order().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_clip_whose_beginning_is_garbled_is_set_aside_and_told_of() {
    let (Stopped { directory, store, source }, clips) = recorded(&[SHORT]).await;
    let recordings = recordings_dir(directory.path());
    let path = recordings.join(video(&clips[0]));
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[0x55; 512], 0).unwrap();
    let garbled = fs::read(&path).unwrap();

    repair(&store, &recordings, boot_id().unwrap(), &source.clock(), &Progress::unheard())
        .await
        .unwrap();

    let aside = path.with_added_extension("damaged");
    assert_eq!(fs::read(&aside).unwrap(), garbled, "not a byte of it is lost");
    let told = fsck(&store, &recordings, &Progress::unheard()).await.unwrap().damages;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0].path, told[0].kind), (&aside, DamageKind::Damaged));
    drop(store);
    let camera = Camera::start_in(directory, source, config()).await;
    let clip = camera.store.clip(clips[0].clip_id).await.unwrap().unwrap();
    assert_eq!(clip.state, ClipState::Gone);
    assert!(aside.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_is_garbled_in_the_middle_keeps_what_comes_before_and_after() {
    let (Stopped { directory, store, source }, clips) = recorded(&[Duration::from_secs(5)]).await;
    let recordings = recordings_dir(directory.path());
    let path = recordings.join(video(&clips[0]));
    let before = footage::probe(&path);
    let bytes = fs::read(&path).unwrap();
    let fragments: Vec<u64> =
        (0..).zip(bytes.windows(4)).filter(|(_, it)| *it == b"moof").map(|(at, _)| at).collect();
    assert!(fragments.len() >= 4, "{} fragments", fragments.len());
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    // From within one second into the next: two of five cannot be read.
    let (from, to) = (fragments[1] + 40, fragments[2] + 40);
    file.write_all_at(&vec![0x55; usize::try_from(to - from).unwrap()], from).unwrap();
    let told = fsck(&store, &recordings, &Progress::unheard()).await.unwrap().damages;
    assert_eq!(told.first().map(|damage| damage.kind), Some(DamageKind::Damaged), "{told:?}");

    repair(&store, &recordings, boot_id().unwrap(), &source.clock(), &Progress::unheard())
        .await
        .unwrap();

    let after = footage::probe(&path);
    let lost = before.frames - after.frames;
    assert!((15..=45).contains(&lost), "{before:?}, then {after:?}");
    assert!((before.duration_s - after.duration_s).abs() < 0.2, "{before:?}, then {after:?}");
    assert_eq!(fsck(&store, &recordings, &Progress::unheard()).await.unwrap().damages, vec![]);
    let mended = fs::read(&path).unwrap();
    repair(&store, &recordings, boot_id().unwrap(), &source.clock(), &Progress::unheard())
        .await
        .unwrap();
    assert_eq!(fs::read(&path).unwrap(), mended, "there is nothing left to mend");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_cannot_be_deleted_is_kept_in_the_index_and_others_make_room() {
    let (Stopped { directory, store, source }, clips) = recorded(&[SHORT, SHORT]).await;
    drop(store);
    let [stuck, other] = [clips[0].clip_id, clips[1].clip_id];
    let path = recordings_dir(directory.path()).join(video(&clips[0]));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();

    let max_bytes = clips[1].parts.iter().map(|part| part.length).sum::<u64>() + 1;
    let camera =
        Camera::start_in(directory, source, RecordingConfig { max_bytes, ..config() }).await;
    let state = async |clip_id| camera.store.clip(clip_id).await.unwrap().map(|clip| clip.state);
    let record_another = async || {
        camera.footage(SHORT).await;
        camera.recorder.start_manual().await.unwrap();
        camera.footage(SHORT).await;
        camera.recorder.stop_manual().await.unwrap();
    };
    record_another().await;
    let is_gone = async |clip_id| state(clip_id).await == Some(ClipState::Gone);
    camera.until("another clip to be deleted", async || is_gone(other).await).await;
    assert_eq!(state(stuck).await, Some(ClipState::Closed));

    fs::remove_dir(&path).unwrap();
    record_another().await;
    camera.until("it to be deleted after all", async || is_gone(stuck).await).await;
}
