//! A camera that speaks RTSP as it likes. It gives the recorded scene of the recorder's tests.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nightjar_core::h264::{NalKind, nal_units};

use crate::renumber::with_two_sets;

const WALKER: &[u8] = include_bytes!("../recorder/walker.h264");
const FRAME_INTERVAL: Duration = Duration::from_millis(66);
/// RTP counts 90,000 a second.
const TICKS: u32 = 6_000;

/// What it does when it is asked.
#[derive(Clone)]
pub(crate) enum Liar {
    /// Answers DESCRIBE with this status, and these headers.
    Refuses(u16, &'static str),
    /// Describes a stream of this kind, in this encoding.
    Describes(&'static str, &'static str),
    /// Answers what is no RTSP.
    Babbles,
    /// Takes the connection and says nothing.
    IsMute,
    Plays(Play),
    /// Sends one picture that never ends.
    NeverEnds,
    /// Answers this method with a message that never ends.
    Endless(&'static str, Endless),
}

/// Which part of a message has no end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Endless {
    Line,
    Headers,
    Body,
}

/// How it plays.
#[derive(Clone, Copy)]
pub(crate) struct Play {
    /// Parameter sets are in the description, and with each key frame.
    pub(crate) sets: bool,
    pub(crate) key_frames: bool,
    /// What its clock counts from frame to frame.
    pub(crate) ticks: u32,
    /// After so many frames it ends, or stalls.
    pub(crate) frames: usize,
    pub(crate) stalls: bool,
    pub(crate) lie: Lie,
}

/// What is odd about its pictures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    /// From this picture on each key frame has this sequence parameter set.
    Sequence(usize, &'static [u8]),
    /// Before this picture, which is no key frame, comes another picture parameter set.
    Sets(usize),
    /// One picture of thirty never comes, nine others before the next key frame.
    Loses,
    /// All pictures but key frames refer to a second picture parameter set, which comes with key frames.
    TwoSets,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            sets: true,
            key_frames: true,
            ticks: TICKS,
            frames: usize::MAX,
            stalls: false,
            lie: Lie::None,
        }
    }
}

/// A listening liar.
pub(crate) struct Lying {
    port: u16,
    connections: Arc<AtomicUsize>,
    /// Bytes of messages without an end that were taken.
    taken: Arc<AtomicUsize>,
}

impl Liar {
    pub(crate) fn listen(self) -> Lying {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let taken = Arc::new(AtomicUsize::new(0));
        let weighed = Arc::clone(&taken);
        // Ends with the test's process.
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                let (liar, weighed) = (self.clone(), Arc::clone(&weighed));
                thread::spawn(move || liar.serve(connection, &weighed));
            }
        });
        Lying { port, connections, taken }
    }

    /// An error means that the other side has gone.
    fn serve(self, connection: TcpStream, taken: &AtomicUsize) -> io::Result<()> {
        let mut requests = BufReader::new(connection.try_clone()?);
        let mut out = connection;
        loop {
            let (mut method, mut sequence) = (String::new(), String::new());
            loop {
                let mut line = String::new();
                if requests.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("cseq")
                {
                    value.trim().clone_into(&mut sequence);
                }
                if method.is_empty() {
                    line.split(' ').next().unwrap_or_default().clone_into(&mut method);
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let reply = |status: u16, headers: &str, body: &str| {
                let length = body.len();
                format!(
                    "RTSP/1.0 {status} So\r\nCSeq: {sequence}\r\nContent-Length: {length}\r\n\
                     {headers}\r\n{body}"
                )
            };
            match (&self, method.as_str()) {
                (Self::IsMute, _) => {}
                (Self::Babbles, _) => out.write_all(b"220 mail.example ESMTP ready\r\n\r\n")?,
                (Self::Refuses(status, headers), _) => {
                    out.write_all(reply(*status, headers, "").as_bytes())?;
                }
                (Self::Endless(asked, part), method) if *asked == method => {
                    let length = matches!(part, Endless::Body).then_some("4000000000");
                    let length = length.map(|it| format!("Content-Length: {it}\r\n\r\n"));
                    let head = format!("RTSP/1.0 200 So\r\nCSeq: {sequence}\r\n");
                    out.write_all((head + &length.unwrap_or_default()).as_bytes())?;
                    part.send(&mut out, taken)?;
                }
                (_, "DESCRIBE") => {
                    let body = self.description();
                    out.write_all(
                        reply(200, "Content-Type: application/sdp\r\n", &body).as_bytes(),
                    )?;
                }
                (_, "SETUP") => {
                    let headers =
                        "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
                    out.write_all(reply(200, headers, "").as_bytes())?;
                }
                (Self::Plays(play), "PLAY") => {
                    out.write_all(reply(200, "Session: 1\r\n", "").as_bytes())?;
                    play.send(&mut out)?;
                    if !play.stalls {
                        return Ok(());
                    }
                }
                (Self::NeverEnds, "PLAY") => {
                    out.write_all(reply(200, "Session: 1\r\n", "").as_bytes())?;
                    never_end(&mut out)?;
                }
                _ => out.write_all(reply(200, "Session: 1\r\n", "").as_bytes())?,
            }
        }
    }

    fn description(&self) -> String {
        let (media, encoding, format) = match self {
            Self::Describes(media, encoding) => (*media, *encoding, String::new()),
            Self::Plays(Play { sets: true, .. }) => {
                let set = |kind| {
                    STANDARD.encode(nal_units(WALKER).find(|it| NalKind::of(it) == kind).unwrap())
                };
                let sets = [NalKind::SequenceParameters, NalKind::PictureParameters].map(set);
                let format = format!(";sprop-parameter-sets={}", sets.join(","));
                ("video", "H264/90000", format)
            }
            _ => ("video", "H264/90000", String::new()),
        };
        format!(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=liar\r\nt=0 0\r\nm={media} 0 RTP/AVP 96\r\n\
             a=control:track1\r\na=rtpmap:96 {encoding}\r\na=fmtp:96 packetization-mode=1{format}\r\n"
        )
    }
}

/// The pictures of the scene, each as its units.
static PICTURES: LazyLock<Vec<Vec<&[u8]>>> = LazyLock::new(|| {
    let mut pictures: Vec<Vec<&[u8]>> = Vec::new();
    for unit in nal_units(WALKER) {
        if NalKind::of(unit) == NalKind::Delimiter {
            pictures.push(Vec::new());
        } else {
            pictures.last_mut().unwrap().push(unit);
        }
    }
    pictures
});

/// As that of the scene, with another number, so that nothing refers to it.
const OTHER_SET: [u8; 4] = [0x68, 0x53, 0x8f, 0x20];

impl Lie {
    fn tell(self, number: usize, units: &mut Vec<&[u8]>) {
        match self {
            Self::Sequence(from, set) if number >= from => {
                for unit in units {
                    if NalKind::of(unit) == NalKind::SequenceParameters {
                        *unit = set;
                    }
                }
            }
            Self::Sets(at) if number == at => units.insert(0, &OTHER_SET),
            _ => {}
        }
    }
}

impl Endless {
    fn send(self, out: &mut TcpStream, taken: &AtomicUsize) -> io::Result<()> {
        let piece = match self {
            Self::Line => "X".repeat(64_000),
            Self::Headers => "X-Again: and again\r\n".repeat(3_000),
            Self::Body => "v=0\r\n".repeat(12_000),
        };
        loop {
            out.write_all(piece.as_bytes())?;
            taken.fetch_add(piece.len(), Ordering::Relaxed);
        }
    }
}

impl Play {
    fn send(self, out: &mut TcpStream) -> io::Result<()> {
        let mut sequence = 0_u16;
        for number in 0..self.frames {
            let picture = &PICTURES[number % PICTURES.len()];
            let wanted = |unit: &&&[u8]| match NalKind::of(unit) {
                NalKind::SequenceParameters | NalKind::PictureParameters => self.sets,
                NalKind::KeySlice => self.key_frames,
                _ => true,
            };
            let mut units: Vec<&[u8]> = picture.iter().filter(wanted).copied().collect();
            let renumbered = if self.lie == Lie::TwoSets { with_two_sets(&units) } else { vec![] };
            if !renumbered.is_empty() {
                units = renumbered.iter().map(Vec::as_slice).collect();
            }
            self.lie.tell(number, &mut units);
            let time = u32::try_from(number % 1_000_000).unwrap().wrapping_mul(self.ticks);
            for (at, unit) in units.iter().enumerate() {
                let marker = if at + 1 == units.len() { 0x80 } else { 0 };
                let length = u16::try_from(unit.len() + 12).unwrap();
                let mut packet = vec![b'$', 0];
                packet.extend(length.to_be_bytes());
                packet.extend([0x80, 0x60 | marker]);
                packet.extend(sequence.to_be_bytes());
                packet.extend(time.to_be_bytes());
                packet.extend(7_u32.to_be_bytes());
                packet.extend_from_slice(unit);
                if self.lie != Lie::Loses || number % 30 != 20 {
                    out.write_all(&packet)?;
                }
                sequence = sequence.wrapping_add(1);
            }
            thread::sleep(FRAME_INTERVAL);
        }
        Ok(())
    }
}

/// Fragments of a key frame, as fast as they are taken.
fn never_end(out: &mut TcpStream) -> io::Result<()> {
    // NAL unit type 28, of type 5: begins with the first.
    for sequence in 0..=u64::MAX {
        let begin = if sequence == 0 { 0x80 } else { 0 };
        let mut packet = vec![b'$', 0];
        let payload = vec![0x55; 60_000];
        packet.extend(u16::try_from(payload.len() + 14).unwrap().to_be_bytes());
        packet.extend([0x80, 0x60]);
        packet.extend(u16::try_from(sequence & 0xffff).unwrap().to_be_bytes());
        packet.extend([0, 0, 0, 1, 0, 0, 0, 7, 0x7c, begin | 5]);
        packet.extend(payload);
        out.write_all(&packet)?;
    }
    Ok(())
}

impl Lying {
    pub(crate) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/main", self.port)
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}
