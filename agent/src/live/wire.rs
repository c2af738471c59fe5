//! What the agent and its live worker say to each other over the socket pair between them.
//!
//! Every message is a big-endian `u32` with the length of the rest, a byte with the kind, and the
//! body: JSON for orders and reports, and for frames the capture time (big-endian `u64`), a byte of flags
//! (1: a key frame, 2: of the low layer), and the access unit.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::{EncodedFrame, Layer},
    rtp::layers::Bounds,
};
use nightjar_shared::{
    ids::SessionId,
    session::SessionEndReason,
    signal::{IceServer, SessionStatistics},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// No key frame is larger. A sender that announces more is broken.
const MAX_LENGTH: u32 = 8 * 1024 * 1024;

const JSON: u8 = 0;
const FRAME: u8 = 1;

const KEY_FRAME: u8 = 1;
const LOW_LAYER: u8 = 2;

/// From the agent to its worker.
#[derive(Debug)]
pub(crate) enum ToWorker {
    Frame(Layer, EncodedFrame),
    Order(WorkerOrder),
}

/// What the worker is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorkerOrder {
    /// Answers a viewer's offer. With `trickle` the answer does not wait for candidates.
    Offer {
        session_id: SessionId,
        sdp: Sdp,
        ice_servers: Vec<IceServer>,
        trickle: bool,
    },
    /// Offers the picture to an SFU; with `complete` together with all candidates.
    Publish {
        session_id: SessionId,
        ice_servers: Vec<IceServer>,
        complete: bool,
    },
    /// Takes what the SFU answered, and the ICE servers that it named.
    Accept {
        session_id: SessionId,
        sdp: Sdp,
        ice_servers: Vec<IceServer>,
    },
    /// Restarts ICE. The fragment names the viewer's new ICE user and password.
    Restart {
        session_id: SessionId,
        fragment: Sdp,
    },
    Candidate {
        session_id: SessionId,
        candidate: String,
        sdp_mid: Option<String>,
    },
    Close {
        session_id: SessionId,
    },
    /// Says what the main layer's bitrate may be.
    Bounds(Bounds),
    /// Frames begin to come. They do not follow those that came before.
    FramesBegin,
}

/// What the worker reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorkerReport {
    /// The media engine is warm.
    Ready,
    Answer {
        session_id: SessionId,
        sdp: Sdp,
    },
    /// The offer for an SFU.
    Offer {
        session_id: SessionId,
        sdp: Sdp,
    },
    Candidate {
        session_id: SessionId,
        candidate: String,
        sdp_mid: Option<String>,
    },
    Streaming {
        session_id: SessionId,
    },
    /// How a connection fares: sent for each viewer every few seconds.
    Measured {
        session_id: SessionId,
        statistics: SessionStatistics,
    },
    Ended {
        session_id: SessionId,
        reason: SessionEndReason,
        /// A sentence for the viewer's people.
        detail: Option<String>,
    },
    KeyFrameWanted {
        layer: Layer,
    },
    Wishes(Wishes),
    /// Sent every second, so that silence means that the worker hangs.
    Statistics(WorkerStatistics),
}

/// What the viewers need of the encoders; sent when it changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// The main layer's bitrate; without it nobody asks for less than is configured.
    pub main_kbps: Option<u32>,
    /// Whether somebody needs the low layer.
    pub low: bool,
}

/// What the worker counts, since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatistics {
    pub viewers: u32,
    pub frames_received: u64,
    /// Frames that a viewer's connection was too slow for.
    pub frames_skipped: u64,
}

/// A session description: names addresses and fingerprints, so it stays out of logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sdp(pub String);

impl std::fmt::Debug for Sdp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Sdp({} bytes)", self.0.len())
    }
}

/// Writes whole messages; dropping one that is being written breaks the stream.
pub(crate) struct Writer<W> {
    stream: W,
    buffer: BytesMut,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(crate) fn new(stream: W) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Writes a frame of one of the layers.
    pub(crate) async fn write_frame(
        &mut self,
        layer: Layer,
        frame: &EncodedFrame,
    ) -> io::Result<()> {
        self.begin(FRAME, 9 + frame.data.len())?;
        self.buffer.put_u64(frame.captured_at.0);
        let key_frame = if frame.key_frame { KEY_FRAME } else { 0 };
        let low_layer = if layer == Layer::Low { LOW_LAYER } else { 0 };
        self.buffer.put_u8(key_frame | low_layer);
        self.buffer.put_slice(&frame.data);
        self.stream.write_all(&self.buffer).await
    }

    /// Writes an order or a report.
    pub(crate) async fn write_json(&mut self, message: &impl Serialize) -> io::Result<()> {
        let body = serde_json::to_vec(message)?;
        self.begin(JSON, body.len())?;
        self.buffer.put_slice(&body);
        self.stream.write_all(&self.buffer).await
    }

    fn begin(&mut self, kind: u8, length: usize) -> io::Result<()> {
        let length = u32::try_from(length + 1).ok().filter(|length| *length <= MAX_LENGTH);
        self.buffer.clear();
        self.buffer.put_u32(length.ok_or_else(|| invalid("a message is too long"))?);
        self.buffer.put_u8(kind);
        Ok(())
    }
}

/// Reads what the agent sends; `None` when it has closed the stream.
pub(crate) async fn read_to_worker(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<ToWorker>> {
    let Some((kind, mut body)) = read(stream).await? else { return Ok(None) };
    match kind {
        JSON => from_json(&body).map(|order| Some(ToWorker::Order(order))),
        FRAME if body.len() >= 9 => {
            let captured_at = MonotonicNanos(body.get_u64());
            let flags = body.get_u8();
            let key_frame = flags & KEY_FRAME != 0;
            let layer = if flags & LOW_LAYER == 0 { Layer::Main } else { Layer::Low };
            let frame = EncodedFrame { data: body, key_frame, captured_at };
            Ok(Some(ToWorker::Frame(layer, frame)))
        }
        _ => Err(invalid("a message of an unknown kind")),
    }
}

/// Reads what the worker sends; `None` when it has closed the stream.
pub(crate) async fn read_report(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<WorkerReport>> {
    match read(stream).await? {
        None => Ok(None),
        Some((JSON, body)) => from_json(&body).map(Some),
        Some(_) => Err(invalid("a message of an unknown kind")),
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(u8, Bytes)>> {
    let length = match stream.read_u32().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if !(1..=MAX_LENGTH).contains(&length) {
        return Err(invalid("a message of an impossible length"));
    }
    let kind = stream.read_u8().await?;
    let length = usize::try_from(length - 1).map_err(io::Error::other)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((kind, Bytes::from(body))))
}

fn from_json<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    serde_json::from_slice(body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> WorkerOrder {
        WorkerOrder::Candidate {
            session_id: SessionId::generate(),
            candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host".to_owned(),
            sdp_mid: Some("0".to_owned()),
        }
    }

    #[tokio::test]
    async fn frames_and_orders_arrive_as_they_were_sent() {
        let (near, mut far) = tokio::io::duplex(1024 * 1024);
        let mut writer = Writer::new(near);
        let frame = EncodedFrame {
            data: Bytes::from(vec![7; 100_000]),
            key_frame: true,
            captured_at: MonotonicNanos(u64::MAX - 1),
        };
        writer.write_frame(Layer::Low, &frame).await.unwrap();
        let sent = order();
        writer.write_json(&sent).await.unwrap();
        drop(writer);

        let Some(ToWorker::Frame(Layer::Low, received)) = read_to_worker(&mut far).await.unwrap()
        else {
            panic!("not a frame");
        };
        assert_eq!(received.data, frame.data);
        assert!(received.key_frame && received.captured_at == frame.captured_at);
        let Some(ToWorker::Order(received)) = read_to_worker(&mut far).await.unwrap() else {
            panic!("not an order");
        };
        assert_eq!(received, sent);
        assert!(read_to_worker(&mut far).await.unwrap().is_none(), "the end");
    }

    #[tokio::test]
    async fn reports_arrive_as_they_were_sent() {
        let session_id = SessionId::generate();
        let reports = [
            WorkerReport::Ready,
            WorkerReport::Answer { session_id, sdp: Sdp("v=0".to_owned()) },
            WorkerReport::Ended { session_id, reason: SessionEndReason::ViewerGone, detail: None },
            WorkerReport::Statistics(WorkerStatistics {
                viewers: 3,
                ..WorkerStatistics::default()
            }),
        ];
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let mut writer = Writer::new(near);
        for report in &reports {
            writer.write_json(report).await.unwrap();
            assert_eq!(read_report(&mut far).await.unwrap().as_ref(), Some(report));
        }
    }

    #[tokio::test]
    async fn broken_streams_are_errors_and_allocate_nothing_large() {
        for bytes in [
            &[0xFF, 0xFF, 0xFF, 0xFF, 0][..],
            &[0, 0, 0, 0],
            &[0, 0, 0, 2, JSON, b'{'],
            &[0, 0, 0, 2, 9, 9],
            &[0, 0, 0, 3, FRAME, 1, 2],
            &[0, 0, 0, 20, FRAME, 1],
        ] {
            assert!(read_to_worker(&mut &bytes[..]).await.is_err(), "{bytes:?}");
        }
        let frame = [0, 0, 0, 10, FRAME, 0, 0, 0, 0, 0, 0, 0, 1, 1];
        assert!(read_report(&mut &frame[..]).await.is_err(), "workers send no frames");
    }

    #[test]
    fn descriptions_stay_out_of_logs() {
        let offer = WorkerOrder::Offer {
            session_id: SessionId::generate(),
            sdp: Sdp("a=fingerprint:secret".to_owned()),
            ice_servers: Vec::new(),
            trickle: false,
        };
        assert!(!format!("{offer:?}").contains("secret"));
    }
}
