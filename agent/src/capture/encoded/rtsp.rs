//! An IP camera, read by RTSP.
//!
//! The client is `retina`: what a camera sends is parsed by safe code, a redirection is an error and
//! not followed, and a login goes nowhere but to the address that was configured. Its packets are put
//! together by us, as it has no limit for a picture and keeps one picture parameter set.

use std::{
    fs::File,
    future::poll_fn,
    os::unix::fs::FileExt as _,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context as _;
use futures::StreamExt as _;
use nightjar_core::h264::{Depacketized, Depacketizer, Packet};
use retina::client::{
    Credentials, Described, PacketItem, PlayOptions, Playing, Session, SessionGroup,
    SessionOptions, SetupOptions, Stream, Transport,
};
use tokio::{runtime, task::coop::poll_proceed, time};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    delivery::{Delivery, FRAME_BYTES_MAX},
    description::parameter_sets,
    login::Login,
    problem::RtspProblem,
};
use crate::config::{RtspConfig, RtspTransport, StreamAddress};

/// Each question of the conversation is answered sooner, or the camera is taken for dead.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// A camera that gives no picture for this long stalls, unless it says that its pictures are further
/// apart. Sooner than the supervisor, who does not know whose fault it is.
const SILENT_AFTER: Duration = Duration::from_millis(4_500);
const PICTURES_MISSED: f32 = 4.0;
const SLOWEST: f32 = 0.1;

/// The camera is told that we leave, where that needs a message; more time nobody has.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// A message of the camera has no more: a description has a few thousand bytes.
const MESSAGE_BYTES_MAX: u64 = 4 << 20;
/// What the runtime lets a task do before others have their turn, and what of it the client is left: each
/// read may bring as much as the message has already.
const READS_OF_A_TURN: u8 = 128;
const READS_AT_A_TIME: u8 = 2;

const H264: &str = "h264";

/// A thread that reads one stream. It ends as this is dropped.
pub(super) struct RtspClient {
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl RtspClient {
    pub(super) fn start(
        address: &StreamAddress,
        config: &RtspConfig,
        delivery: &Arc<Delivery>,
    ) -> anyhow::Result<Self> {
        let login = config.login_file.as_deref().map(Login::read).transpose()?;
        let link = Link {
            url: Url::parse(address.expose()).map_err(|_| RtspProblem::Address)?,
            host: address.host().to_owned(),
            login,
            transport: config.transport,
            group: Arc::new(SessionGroup::default()),
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let cancel = CancellationToken::new();
        let (cancelled, delivery) = (cancel.clone(), Arc::clone(delivery));
        let thread = thread::Builder::new()
            .name("capture-rtsp".to_owned())
            .spawn(move || {
                let read = cancelled.run_until_cancelled(link.read(&delivery));
                let problem = runtime.block_on(read).and_then(Result::err);
                // Who says that it leaves reads for the answer, and would read on without an end.
                let leaves = !matches!(problem, Some(RtspProblem::Endless { .. }));
                if let Some(problem) = problem {
                    delivery.fail(problem.into());
                }
                if leaves {
                    runtime.block_on(link.leave());
                }
            })
            .context("cannot start the thread that reads the camera")?;
        Ok(Self { cancel, thread: Some(thread) })
    }
}

impl Drop for RtspClient {
    fn drop(&mut self) {
        self.cancel.cancel();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that reads the camera panicked");
        }
    }
}

/// Where a stream is, and how it is asked for.
struct Link {
    url: Url,
    host: String,
    login: Option<Login>,
    transport: RtspTransport,
    group: Arc<SessionGroup>,
}

impl Link {
    /// Reads the stream until it ends, which is always a problem.
    async fn read(&self, delivery: &Delivery) -> Result<(), RtspProblem> {
        let mut session =
            self.answered(Session::describe(self.url.clone(), self.options())).await?;
        let number = self.video(&session)?;
        let patience = patience(&session.streams()[number]);
        let sets = parameter_sets(session.sdp());
        let mut depacketizer = Depacketizer::new(FRAME_BYTES_MAX, sets.iter().map(Vec::as_slice));
        let setup = SetupOptions::default().transport(self.transport());
        self.answered(session.setup(number, setup)).await?;
        let mut playing = self.answered(session.play(PlayOptions::default())).await?;
        loop {
            let next = self.next_frames(&mut playing, &mut depacketizer);
            let frames = time::timeout(patience, next).await.unwrap_or_else(|_| {
                let seconds = patience.as_secs();
                Err(RtspProblem::Silent { host: self.host.clone(), seconds })
            })?;
            for (told, Depacketized { data, lost, .. }) in frames {
                delivery.lose(lost);
                // A camera cannot be asked for a key frame by RTSP.
                delivery.take(data.into(), told);
            }
        }
    }

    /// Waits for the packet that completes a frame; gives it behind the time
    /// that it says it was captured at.
    async fn next_frames(
        &self,
        playing: &mut Session<Playing>,
        depacketizer: &mut Depacketizer,
    ) -> Result<Vec<(Option<Duration>, Depacketized)>, RtspProblem> {
        loop {
            let Some(item) = self.bounded(playing.next()).await? else {
                return Err(RtspProblem::Ended { host: self.host.clone() });
            };
            let PacketItem::Rtp(packet) = item.map_err(|error| self.problem(&error))? else {
                continue;
            };
            let clock = packet.timestamp();
            let packet = Packet {
                payload: packet.payload(),
                ticks: clock.elapsed(),
                marker: packet.mark(),
                lost: packet.loss(),
            };
            let frames = depacketizer.push(packet).map_err(|error| RtspProblem::Broken {
                host: self.host.clone(),
                why: error.to_string(),
            })?;
            if !frames.is_empty() {
                let told = |ticks| since_start(ticks, clock.clock_rate().get());
                return Ok(frames.into_iter().map(|frame| (told(frame.ticks), frame)).collect());
            }
        }
    }

    fn options(&self) -> SessionOptions {
        let credentials = self.login.as_ref().map(|login| Credentials {
            username: login.user.clone(),
            password: login.password.clone(),
        });
        SessionOptions::default()
            .creds(credentials)
            .session_group(Arc::clone(&self.group))
            .user_agent(concat!("nightjar-agent/", env!("CARGO_PKG_VERSION")).to_owned())
    }

    fn transport(&self) -> Transport {
        match self.transport {
            RtspTransport::Tcp => Transport::Tcp(retina::client::TcpTransportOptions::default()),
            RtspTransport::Udp => Transport::Udp(retina::client::UdpTransportOptions::default()),
        }
    }

    /// The first stream of H.264.
    fn video(&self, session: &Session<Described>) -> Result<usize, RtspProblem> {
        let mut videos = session.streams().iter().filter(|stream| stream.media() == "video");
        let is_ours = |stream: &Stream| stream.media() == "video" && stream.encoding_name() == H264;
        let host = self.host.clone();
        match session.streams().iter().position(is_ours) {
            Some(number) => Ok(number),
            None => Err(match videos.next() {
                Some(other) => {
                    let encoding = other.encoding_name().chars().take(16).collect();
                    RtspProblem::Encoding { host, encoding }
                }
                None => RtspProblem::NoVideo { host },
            }),
        }
    }

    async fn answered<T>(
        &self,
        answer: impl Future<Output = Result<T, retina::Error>>,
    ) -> Result<T, RtspProblem> {
        match time::timeout(ANSWER_WITHIN, self.bounded(answer)).await {
            Ok(answer) => answer?.map_err(|error| self.problem(&error)),
            Err(_) => Err(RtspProblem::Unreachable {
                host: self.host.clone(),
                why: format!("no answer in {} s", ANSWER_WITHIN.as_secs()),
            }),
        }
    }

    /// Waits for something that the client puts together out of bytes. It has no limit for a message:
    /// one without end is noticed by what this thread, on which it alone runs, has read meanwhile.
    async fn bounded<T>(&self, answer: impl Future<Output = T>) -> Result<T, RtspProblem> {
        let mut answer = pin!(answer);
        let mut before = None;
        poll_fn(|context| {
            leave_few_reads(context);
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(Ok(answer));
            }
            let now = read_by_this_thread();
            if now.saturating_sub(*before.get_or_insert(now)) <= MESSAGE_BYTES_MAX {
                return Poll::Pending;
            }
            Poll::Ready(Err(RtspProblem::Endless { host: self.host.clone() }))
        })
        .await
    }

    fn problem(&self, error: &retina::Error) -> RtspProblem {
        let host = self.host.clone();
        if let Some(status) = error.status_code() {
            return match status {
                401 if self.login.is_none() => RtspProblem::LoginWanted { host },
                401 | 403 => RtspProblem::LoginRefused { host },
                300..=399 => RtspProblem::Redirected { host, status },
                404 | 410 | 454 => RtspProblem::NotFound { host, status },
                // A description that cannot be followed comes with the status of its answer.
                200..=299 => RtspProblem::Broken { host, why: self.first_line(error) },
                _ => RtspProblem::Refused { host, status },
            };
        }
        let why = self.first_line(error);
        match why.split_once(": ") {
            Some(("Unable to connect to RTSP server", why)) => {
                RtspProblem::Unreachable { host, why: why.to_owned() }
            }
            Some(("Error reading from RTSP peer" | "Error writing to RTSP peer", _)) => {
                RtspProblem::Ended { host }
            }
            _ => RtspProblem::Broken { host, why },
        }
    }

    /// What the client says, without the details of the conversation, and nothing that names a
    /// password or an address: the camera may have said it.
    fn first_line(&self, error: &retina::Error) -> String {
        let line: String = error.to_string().lines().next().unwrap_or_default().to_owned();
        let secret = self.login.as_ref().is_some_and(|login| {
            let words = [&login.user, &login.password];
            words.into_iter().any(|word| !word.is_empty() && line.contains(word.as_str()))
        });
        let tells = |word: &str| line.to_lowercase().contains(word);
        if secret || tells("authori") || tells("://") {
            return "its answer is not shown, it may hold a secret".to_owned();
        }
        line.chars().filter(|letter| !letter.is_control()).take(160).collect()
    }

    /// Tells the camera that we leave, where that needs a message.
    async fn leave(&self) {
        // Without an answer it notices by itself.
        drop(time::timeout(LEAVE_WITHIN, self.group.await_teardown()).await);
    }
}

/// Lets the client read a few times before it is our turn again. It reads as long as there is something to
/// read and the runtime lets it, and looks through all of an unfinished message each time.
fn leave_few_reads(context: &mut Context<'_>) {
    for _ in 0..READS_OF_A_TURN - READS_AT_A_TIME {
        if let Poll::Ready(turn) = poll_proceed(context) {
            turn.made_progress();
        }
    }
}

/// Returns bytes; 0 where the kernel does not count them. What this looks into counts, too: a hundred bytes.
fn read_by_this_thread() -> u64 {
    thread_local! {
        static COUNTED: Option<File> = File::open("/proc/thread-self/io").ok();
    }
    let mut told = [0; 256];
    let length = COUNTED.with(|file| file.as_ref()?.read_at(&mut told, 0).ok());
    let told = str::from_utf8(&told[..length.unwrap_or(0)]).unwrap_or_default();
    let read = told.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// How long the camera says it has given pictures.
fn since_start(ticks: i64, rate: u32) -> Option<Duration> {
    let (ticks, rate) = (u64::try_from(ticks).ok()?, u64::from(rate));
    let nanos = u32::try_from(ticks % rate * 1_000_000_000 / rate).ok()?;
    Some(Duration::new(ticks / rate, nanos))
}

/// How long a stream may give no picture.
fn patience(stream: &Stream) -> Duration {
    let interval = stream.framerate().filter(|fps| *fps >= SLOWEST).map(|fps| 1.0 / fps);
    let missed = Duration::from_secs_f32(interval.unwrap_or(0.0) * PICTURES_MISSED);
    missed.max(SILENT_AFTER)
}
