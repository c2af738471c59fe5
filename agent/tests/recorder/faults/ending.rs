//! A clip's end on a disk that fails once: it is closed all the same, without a restart and without
//! anything else that happens, and what is told to be there outlives a power cut. And its beginning:
//! whatever of the pre-roll was written plays, and nothing follows that cannot be decoded.

use std::time::Duration;

use nightjar_agent::store::ClipState;
use nightjar_shared::{event::EventState, ids::EventId};
use tokio::{task::JoinSet, time::timeout};

use super::{
    forgetful::{
        Fault, Operation, Outcome,
        libc_errno::{EIO, ENOSPC},
    },
    fresh_disk,
    mount::{lock, mount},
    runs::{Film, Running, before_camera, is_soak, judge},
};
use crate::source::{FRAME_INTERVAL, PATIENCE};

/// One run with one fault at the end of a clip. False when the fault never came to pass, nothing when
/// FUSE is missing.
async fn end(film: Film, fault: Fault) -> Option<bool> {
    let source = film.source();
    let clock = source.clock();
    let directory = tempfile::tempdir().unwrap();
    let (disk, mounted) = fresh_disk(directory.path(), clock.clone())?;
    let context = format!("{fault:?}");
    let running = Running::start(source, &mounted.path).await.unwrap();
    running.start_manual().await;
    running.footage(Duration::from_millis(1_500)).await;

    lock(&disk).plan(Some(fault));
    running.recorder.stop_manual().await.unwrap();
    let closed = async {
        loop {
            let clips = running.store.clips().await.unwrap();
            if clips.iter().all(|clip| clip.state == ClipState::Closed) {
                return;
            }
            running.pass(FRAME_INTERVAL).await;
        }
    };
    timeout(PATIENCE, closed).await.unwrap_or_else(|_| panic!("{context}: it stays open"));
    let struck = lock(&disk).struck_at.is_some();

    let cut = Fault { operation: None, at: 1, outcome: Outcome::PowerCut };
    lock(&disk).plan(Some(cut));
    running.stop().await;
    drop(mounted);
    lock(&disk).reboot(|| false);
    let mounted = mount(&disk, directory.path()).unwrap();
    let clips = judge(&mounted.path, &clock, &context).await;
    assert_eq!(clips.len(), 1, "{context}");
    drop(mounted);
    Some(struck)
}

/// One run with one fault at the beginning of an event's clip.
async fn begin(film: Film, fault: Fault) -> Option<bool> {
    let source = film.source();
    let clock = source.clock();
    let directory = tempfile::tempdir().unwrap();
    let (disk, mounted) = fresh_disk(directory.path(), clock.clone())?;
    let running = Running::start(source, &mounted.path).await.unwrap();
    running.footage(Duration::from_millis(2_500)).await;

    lock(&disk).plan(Some(fault));
    let event_id = EventId::generate();
    running.tell(event_id, EventState::Started).await;
    running.footage(Duration::from_millis(1_500)).await;
    running.tell(event_id, EventState::Ended).await;
    running.stop().await;
    let struck = lock(&disk).struck_at.is_some();
    lock(&disk).plan(None);
    judge(&mounted.path, &clock, &format!("{fault:?}")).await;
    Some(struck)
}

/// Each of the first `runs` operations of a kind, once with each error.
async fn fail_each<F>(
    film: Film,
    run: impl Fn(Film, Fault) -> F,
    operation: Operation,
    errors: &[i32],
    runs: u64,
    least: usize,
) where
    F: Future<Output = Option<bool>> + Send + 'static,
{
    let mut ended = JoinSet::new();
    for at in 1..=runs {
        for error in errors {
            let outcome = Outcome::Fails(*error);
            ended.spawn(run(film.clone(), Fault { operation: Some(operation), at, outcome }));
        }
    }
    let struck = ended.join_all().await;
    if !struck.contains(&None) {
        let struck = struck.iter().filter(|struck| **struck == Some(true)).count();
        assert!(struck >= least, "only {struck} runs met the fault");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_closed_although_a_write_of_its_end_failed() {
    fail_each(Film::Reel, end, Operation::Write, &[EIO, ENOSPC], 16, 10).await;
    if is_soak() {
        let run = |film| fail_each(film, end, Operation::Write, &[EIO, ENOSPC], 16, 10);
        before_camera(run).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_plays_although_a_write_of_its_pre_roll_failed() {
    fail_each(Film::Reel, begin, Operation::Write, &[EIO], 60, 30).await;
    if is_soak() {
        before_camera(|film| fail_each(film, begin, Operation::Write, &[EIO], 60, 30)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_closed_although_a_sync_of_its_end_failed() {
    fail_each(Film::Reel, end, Operation::Sync, &[EIO, ENOSPC], 6, 10).await;
    if is_soak() {
        before_camera(|film| fail_each(film, end, Operation::Sync, &[EIO, ENOSPC], 6, 10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_closed_although_its_file_did_not_get_its_name() {
    fail_each(Film::Reel, end, Operation::Name, &[EIO, ENOSPC], 1, 2).await;
    if is_soak() {
        before_camera(|film| fail_each(film, end, Operation::Name, &[EIO, ENOSPC], 1, 2)).await;
    }
}
