//! Live viewing: WebRTC sessions, held by a process of their own.
//!
//! What strangers send is parsed in the live worker, a child process without keys or files. It
//! may crash or be killed: recording does not notice, and the next worker is there within two
//! seconds.
//!
//! One session, from the viewer's offer to its end:
//!
//! ```text
//!  relay                 agent (LiveTask)                live worker (Viewers)     browser
//!    ├─ Signal: offer ──────►│ Authenticity: who asks?         │                      │
//!    │                       │ Sessions: is there room?        │                      │
//!    │                       ├─ WorkerOrder::Offer ───────────►│ Peer::answer         │
//!    │                       │◄──────── WorkerReport::Answer ──┤                      │
//!    │◄──── Signal: answer ──┤ Authenticity: sign it           │                      │
//!    │                       ├─ frames of both layers ────────►│                      │
//!    ├─ Signal: candidate ──►├─ WorkerOrder::Candidate ───────►│◄══ ICE and DTLS ════►│
//!    │◄─ Signal: candidate ──┤◄───── WorkerReport::Candidate ──┤                      │
//!    │                       │◄───── WorkerReport::Streaming ──┤═══ SRTP ════════════►│
//!    │                       │◄─ KeyFrameWanted and Wishes ────┤◄══ RTCP feedback ════┤
//!    │◄──── Signal: report ──┤◄────── WorkerReport::Measured ──┤                      │
//!    ├─ Signal: bye ────────►├─ WorkerOrder::Close ───────────►│ closes the peer      │
//!    │◄─────── Signal: bye ──┤◄───────── WorkerReport::Ended ──┤ the viewer is gone   │
//! ```
//!
//! `sessions` decides each of the agent's steps, `task` carries them out. `process` starts the
//! worker and feeds it, `wire` is what the two say to each other, `worker` is the program that
//! runs there. Where viewers come to an SFU instead, `publish` keeps the one connection to it.

mod authenticity;
mod process;
mod publish;
mod sessions;
mod settings;
mod task;
mod wire;
pub mod worker;

use std::sync::Arc;

use nightjar_shared::{event::SfuHealth, signal::Signal};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{authenticity::Authenticity, settings::LiveSettings, task::LiveTask};
pub use self::{
    authenticity::ViewerTrust,
    process::WorkerCommand,
    sessions::{Effect, Sessions},
    wire::{Sdp, Wishes, WorkerOrder, WorkerReport, WorkerStatistics},
};
use crate::{config::LiveConfig, encode::Media, identity::Identity};

/// The handle of live viewing. Dropping it changes nothing; the token ends live viewing.
#[derive(Clone)]
pub struct Live {
    settings: watch::Sender<LiveSettings>,
    viewers: watch::Receiver<u32>,
    trust: watch::Sender<ViewerTrust>,
    sfu: watch::Receiver<Option<SfuHealth>>,
}

/// Starts the worker and the task that connects it with signalling. Replies go out with the
/// replica that they are for; when `signals_out` is full they are dropped, and the viewer's
/// request times out.
pub fn start(
    media: Media,
    config: &LiveConfig,
    worker_command: WorkerCommand,
    (signals_in, signals_out): (mpsc::Receiver<Signal>, mpsc::Sender<(String, Signal)>),
    identity: Arc<Identity>,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) -> Live {
    let max_viewers = config.max_viewers;
    let (least_kbps, most_kbps) = (config.min_bitrate_kbps, media.bitrate_kbps());
    let settings = LiveSettings { private: false, max_viewers, least_kbps, most_kbps };
    let (settings, settings_receiver) = watch::channel(settings);
    let (viewers_sender, viewers) = watch::channel(0);
    let (trust, trust_receiver) = watch::channel(ViewerTrust::default());
    let (sfu_state, sfu) = watch::channel(None);
    let publication = config.publishes_to().map(|config| {
        let (publication, publisher) =
            publish::prepare(config, settings_receiver.clone(), sfu_state);
        tracker.spawn(publisher.run(cancel.clone()));
        publication
    });
    let task = LiveTask {
        media,
        worker_command,
        signals_in,
        signals_out,
        settings: settings_receiver,
        viewers: viewers_sender,
        tracker: tracker.clone(),
        sessions: Sessions::new(max_viewers),
        authenticity: Authenticity::new(config.authenticity, identity),
        trust: trust_receiver,
        worker: None,
        publication,
    };
    tracker.spawn(task.run(cancel));
    Live { settings, viewers, trust, sfu }
}

impl Live {
    /// Switches privacy mode: running sessions end, and new ones are refused.
    pub fn set_privacy(&self, private: bool) {
        self.settings.send_modify(|settings| settings.private = private);
    }

    /// Sets how many may watch; those who watch already stay.
    pub fn set_max_viewers(&self, max_viewers: u32) {
        self.settings.send_modify(|settings| settings.max_viewers = max_viewers);
    }

    /// Sets what the main layer's bitrate never rises above.
    pub fn set_max_bitrate_kbps(&self, most_kbps: u32) {
        self.settings.send_modify(|settings| settings.most_kbps = most_kbps);
    }

    /// Says who the camera is, and whose proofs it takes.
    pub fn set_trust(&self, trust: ViewerTrust) {
        self.trust.send_replace(trust);
    }

    /// Returns how many sessions there are.
    pub fn viewers(&self) -> watch::Receiver<u32> {
        self.viewers.clone()
    }

    /// Returns how publishing to an SFU goes; `None` when viewers come to the camera.
    pub fn sfu(&self) -> watch::Receiver<Option<SfuHealth>> {
        self.sfu.clone()
    }
}
