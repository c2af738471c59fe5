//! An IP camera, read by RTSP.
//!
//! The client is `retina`: what a camera sends is parsed by safe code, a redirection is an error and
//! not followed, and a login goes nowhere but to the address that was configured.

use std::{
    fs,
    pin::pin,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use futures::StreamExt as _;
use retina::{
    client::{
        Credentials, Demuxed, Described, PlayOptions, Session, SessionGroup, SessionOptions,
        SetupOptions, Stream, Transport,
    },
    codec::{CodecItem, FrameFormat, ParametersRef},
};
use tokio::{runtime, time};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{delivery::Delivery, login::Login, problem::RtspProblem};
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

/// While something is waited for, memory is looked at: a gigabit brings 12 MB meanwhile.
const LOOKED_AT_EACH: Duration = Duration::from_millis(100);
/// 64 MB: no picture has so many, and what else goes on in this process takes less meanwhile.
const GROWTH_PAGES_MAX: u64 = 64 << 20 >> 12;

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
                if let Some(Err(problem)) = runtime.block_on(read) {
                    delivery.fail(problem.into());
                }
                runtime.block_on(link.leave());
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
        let setup =
            SetupOptions::default().transport(self.transport()).frame_format(FrameFormat::SIMPLE);
        self.answered(session.setup(number, setup)).await?;
        let playing = self.answered(session.play(PlayOptions::default())).await?;
        let mut frames = playing.demuxed().map_err(|error| self.problem(&error))?;
        loop {
            let silent =
                RtspProblem::Silent { host: self.host.clone(), seconds: patience.as_secs() };
            let frame = self.within(patience, silent, next_frame(&mut frames)).await?;
            let Some(Frame { data, told, lost }) = frame else {
                return Err(RtspProblem::Ended { host: self.host.clone() });
            };
            delivery.lose(lost);
            // A camera cannot be asked for a key frame by RTSP.
            delivery.take(data, told);
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
        let silent = RtspProblem::Unreachable {
            host: self.host.clone(),
            why: format!("no answer in {} s", ANSWER_WITHIN.as_secs()),
        };
        self.within(ANSWER_WITHIN, silent, answer).await
    }

    /// Waits for something that the client puts together. It has no limit for that: a message or a picture
    /// without end is noticed by what this process takes of the memory.
    async fn within<T>(
        &self,
        patience: Duration,
        silent: RtspProblem,
        answer: impl Future<Output = Result<T, retina::Error>>,
    ) -> Result<T, RtspProblem> {
        let (began, before) = (Instant::now(), resident_pages());
        let mut answer = pin!(answer);
        loop {
            match time::timeout(LOOKED_AT_EACH, answer.as_mut()).await {
                Ok(answer) => return answer.map_err(|error| self.problem(&error)),
                Err(_) if began.elapsed() >= patience => return Err(silent),
                Err(_) if resident_pages().saturating_sub(before) > GROWTH_PAGES_MAX => {
                    let why = "a message or a picture that does not end".to_owned();
                    return Err(RtspProblem::Broken { host: self.host.clone(), why });
                }
                Err(_) => {}
            }
        }
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
            _ if names_parameter_sets(&why) => RtspProblem::Unreadable { host },
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

/// Whether the client complains of parameter sets; how it does helps nobody.
fn names_parameter_sets(why: &str) -> bool {
    let why = why.to_lowercase();
    why.contains("sps") || why.contains("pps")
}

/// A frame as the camera sent it.
struct Frame {
    data: Bytes,
    told: Option<Duration>,
    /// Packets that are missing since the frame before.
    lost: u16,
}

async fn next_frame(frames: &mut Demuxed) -> Result<Option<Frame>, retina::Error> {
    while let Some(item) = frames.next().await {
        if let CodecItem::VideoFrame(frame) = item? {
            let told = Duration::try_from_secs_f64(frame.timestamp().elapsed_secs()).ok();
            let lost = frame.loss();
            // The client leaves parameter sets out, but for those of key frames.
            let sets = if frame.has_new_parameters() && !frame.is_random_access_point() {
                parameter_sets(frames, frame.stream_id())
            } else {
                Vec::new()
            };
            let data = frame.into_data();
            let data = if sets.is_empty() { data } else { [sets, data].concat() };
            return Ok(Some(Frame { data: data.into(), told, lost }));
        }
    }
    Ok(None)
}

/// Memory of this process; 0 where the system does not tell.
fn resident_pages() -> u64 {
    let told = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    told.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

/// The newest parameter sets of a stream.
fn parameter_sets(frames: &Demuxed, stream: usize) -> Vec<u8> {
    match frames.streams().get(stream).and_then(Stream::parameters) {
        Some(ParametersRef::Video(video)) => video.extra_data().to_vec(),
        _ => Vec::new(),
    }
}

/// How long a stream may give no picture.
fn patience(stream: &Stream) -> Duration {
    let interval = stream.framerate().filter(|fps| *fps >= SLOWEST).map(|fps| 1.0 / fps);
    let missed = Duration::from_secs_f32(interval.unwrap_or(0.0) * PICTURES_MISSED);
    missed.max(SILENT_AFTER)
}
