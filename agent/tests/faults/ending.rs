//! A clip's end on a disk that fails once: it is closed all the same, without a restart and without
//! anything else that happens, and what is told to be there outlives a power cut. And its beginning:
//! whatever of the pre-roll was written plays, and nothing follows that cannot be decoded.

use std::time::Duration;

use nightjar_agent::{encode::Media, store::ClipState};
use nightjar_shared::{event::EventState, ids::EventId};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    forgetful::{
        Fault, Operation, Outcome,
        libc_errno::{EIO, ENOSPC},
    },
    fresh_disk,
    mount::{lock, mount},
    recorder::{Running, camera, footage_of, judge, start},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// One run with one fault at the end of a clip. False when the fault never came to pass, nothing when
/// FUSE is missing.
async fn end(media: Media, fault: Fault) -> Option<bool> {
    let directory = tempfile::tempdir().unwrap();
    let (disk, mounted) = fresh_disk(directory.path())?;
    let context = format!("{fault:?}");
    let running = Running::start(&media, &mounted.path).await.unwrap();
    start(&running.recorder, &media).await;
    footage_of(&media, Duration::from_millis(1_500)).await;

    lock(&disk).plan(Some(fault));
    running.recorder.stop_manual().await.unwrap();
    let closed = async {
        loop {
            let clips = running.store.clips().await.unwrap();
            if clips.iter().all(|clip| clip.state == ClipState::Closed) {
                return;
            }
            footage_of(&media, Duration::from_millis(100)).await;
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
    let clips = judge(&mounted.path, &context).await;
    assert_eq!(clips.len(), 1, "{context}");
    drop(mounted);
    Some(struck)
}

/// One run with one fault at the beginning of an event's clip.
async fn begin(media: Media, fault: Fault) -> Option<bool> {
    let directory = tempfile::tempdir().unwrap();
    let (disk, mounted) = fresh_disk(directory.path())?;
    let running = Running::start(&media, &mounted.path).await.unwrap();
    footage_of(&media, Duration::from_millis(2_500)).await;

    lock(&disk).plan(Some(fault));
    let event_id = EventId::generate();
    running.tell(event_id, EventState::Started);
    footage_of(&media, Duration::from_millis(1_500)).await;
    running.tell(event_id, EventState::Ended);
    running.stop().await;
    let struck = lock(&disk).struck_at.is_some();
    lock(&disk).plan(None);
    judge(&mounted.path, &format!("{fault:?}")).await;
    Some(struck)
}

/// Each of the first `runs` operations of a kind, once with each error.
async fn fail_each<F>(
    run: impl Fn(Media, Fault) -> F,
    operation: Operation,
    errors: &[i32],
    runs: u64,
    least: usize,
) where
    F: Future<Output = Option<bool>> + Send + 'static,
{
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let media = camera(&tracker, &cancel).await;
    let mut ended = JoinSet::new();
    for at in 1..=runs {
        for error in errors {
            let outcome = Outcome::Fails(*error);
            ended.spawn(run(media.clone(), Fault { operation: Some(operation), at, outcome }));
        }
    }
    let struck = ended.join_all().await;
    cancel.cancel();
    if !struck.contains(&None) {
        let struck = struck.iter().filter(|struck| **struck == Some(true)).count();
        assert!(struck >= least, "only {struck} runs met the fault");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_closed_although_a_write_of_its_end_failed() {
    fail_each(end, Operation::Write, &[EIO, ENOSPC], 16, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_plays_although_a_write_of_its_pre_roll_failed() {
    fail_each(begin, Operation::Write, &[EIO], 60, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_closed_although_a_sync_of_its_end_failed() {
    fail_each(end, Operation::Sync, &[EIO, ENOSPC], 6, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_closed_although_its_file_did_not_get_its_name() {
    fail_each(end, Operation::Name, &[EIO, ENOSPC], 1, 2).await;
}
