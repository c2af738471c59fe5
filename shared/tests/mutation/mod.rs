//! Seeded damage to session descriptions and their pieces. The tests of agent and relay share it:
//! what one of them is shown, the other must survive as well.

/// Lines that are wrong, or right in the wrong place.
const LINES: [&str; 58] = [
    "",
    "=",
    "a",
    "a=",
    "v=1",
    "o=- 18446744073709551616 1 IN IP4 127.0.0.1",
    "o=- 1 2 IN IP6 ::",
    "t=0 0",
    "c=IN IP6 ::",
    "b=AS:0",
    "b=TIAS:4294967296",
    "m=video 0 UDP/TLS/RTP/SAVPF 108",
    "m=video 9 UDP/TLS/RTP/SAVPF",
    "m=video 65536 UDP/TLS/RTP/SAVPF 108",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "m=application 9 UDP/DTLS/SCTP 5000",
    "a=mid:0",
    "a=mid:1",
    "a=mid:video0",
    "a=group:BUNDLE",
    "a=group:BUNDLE 0 0 0 nowhere",
    "a=group:LS 0",
    "a=ice-ufrag:",
    "a=ice-ufrag:anew",
    "a=ice-pwd:short",
    "a=ice-pwd:0123456789012345678901",
    "a=ice-lite",
    "a=ice-options:ice2 trickle renomination",
    "a=fingerprint:sha-256 00",
    "a=fingerprint:md5 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
    "a=fingerprint:sha-512 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
    "a=setup:active",
    "a=setup:passive",
    "a=setup:holdconn",
    "a=rtcp-mux",
    "a=rtcp-rsize",
    "a=recvonly",
    "a=sendonly",
    "a=sendrecv",
    "a=inactive",
    "a=rtpmap:108 H264/90000",
    "a=rtpmap:108 H264/0",
    "a=rtpmap:999 H264/90000",
    "a=rtpmap:96 VP8/90000",
    "a=fmtp:108 packetization-mode=1;profile-level-id=000000",
    "a=fmtp:108 apt=108",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtcp-fb:* transport-cc",
    "a=rtcp-fb:108 nack pli",
    "a=extmap:0 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "a=extmap:14 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "a=sctp-port:65535",
    "a=max-message-size:4294967295",
    "a=candidate:1 1 udp 4294967295 127.0.0.1 9 typ host",
    "a=candidate:1 2 tcp 1 ::1 9 typ relay raddr ::1 rport 65535 tcptype active",
    "a=candidate:1 1 udp 1 0a1b2c3d.local 65535 typ host generation 0 ufrag anew",
    "a=end-of-candidates",
];

/// Words where others are expected.
const WORDS: [&str; 20] = [
    "",
    "0",
    "-1",
    "1",
    "15",
    "127",
    "128",
    "255",
    "65536",
    "4294967296",
    "18446744073709551616",
    "1e9",
    "0x7f",
    "NaN",
    "*",
    "%s%n",
    "..",
    "\u{e9}",
    "\u{202e}",
    "\0",
];

const BYTES: &[u8] = b"\0\t\n\r 09AZaz:=/;,.-+*%\x7f\x80\xc3\xff";

const SEPARATORS: &[u8] = b" :=/;,.";

type Lines = Vec<Vec<u8>>;

/// Where the damage comes from: the same seed does the same damage.
pub(crate) struct Mutator(u64);

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % limit.max(1)
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Damages a text in one to four places: bytes, words, lines, sections, line ends. What comes
    /// of it need not be UTF-8.
    pub(crate) fn mutate(&mut self, text: &str) -> Vec<u8> {
        let mut lines: Lines = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        for _ in 0..=self.below(4) {
            if lines.is_empty() {
                lines.push(Vec::new());
            }
            match self.below(12) {
                0..=2 => self.change_bytes(&mut lines),
                3..=6 => self.change_words(&mut lines),
                7..=9 => self.change_lines(&mut lines),
                _ => self.change_sections(&mut lines),
            }
        }
        let end = *self.one_of(&["\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n\r\n", "\n\r"]);
        let mut bytes = lines.join(end.as_bytes());
        // Cut off in the middle, now and then.
        match self.below(20) {
            0 => bytes.truncate(self.below(bytes.len())),
            1 => {}
            _ => bytes.extend(end.as_bytes()),
        }
        bytes
    }

    fn change_bytes(&mut self, lines: &mut Lines) {
        let at = self.below(lines.len());
        let (column, byte) = (self.below(lines[at].len()), *self.one_of(BYTES));
        let line = &mut lines[at];
        match self.below(4) {
            0 => line.insert(column, byte),
            1 if !line.is_empty() => drop(line.remove(column)),
            2 if !line.is_empty() => line[column] ^= 1 << self.below(8),
            _ if !line.is_empty() => line[column] = byte,
            _ => line.push(byte),
        }
    }

    fn change_words(&mut self, lines: &mut Lines) {
        let at = self.below(lines.len());
        let ends: Vec<usize> = (0..lines[at].len())
            .filter(|column| SEPARATORS.contains(&lines[at][*column]))
            .chain([lines[at].len()])
            .collect();
        let end = self.below(ends.len());
        let start = if end == 0 { 0 } else { ends[end - 1] + 1 };
        let word = lines[at][start..ends[end]].to_vec();
        let other: Vec<u8> = match self.below(8) {
            0 => b"A".repeat(*self.one_of(&[64, 256, 1_024, 5_000])),
            1 => [word.clone(), b" ".to_vec(), word].concat(),
            2 => word.repeat(1 + self.below(40)),
            _ => self.one_of(&WORDS).as_bytes().to_vec(),
        };
        lines[at].splice(start..ends[end], other);
    }

    fn change_lines(&mut self, lines: &mut Lines) {
        let (at, other) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(6) {
            0 => drop(lines.remove(at)),
            1 => lines.swap(at, other),
            2 => {
                let again = vec![lines[other].clone(); 1 + self.below(12)];
                lines.splice(at..at, again);
            }
            3 => {
                let length = lines[at].len();
                lines[at].truncate(self.below(length));
            }
            4 => lines[at] = self.one_of(&LINES).as_bytes().to_vec(),
            _ => lines.insert(at, self.one_of(&LINES).as_bytes().to_vec()),
        }
    }

    fn change_sections(&mut self, lines: &mut Lines) {
        let starts: Vec<usize> = (0..lines.len())
            .filter(|at| lines[*at].starts_with(b"m="))
            .chain([lines.len()])
            .collect();
        if starts.len() == 1 {
            return;
        }
        let chosen = self.below(starts.len() - 1);
        let (start, end) = (starts[chosen], starts[chosen + 1]);
        let section = lines[start..end].to_vec();
        match self.below(6) {
            // Gone, or without anything in it.
            0 => drop(lines.drain(start..end)),
            1 => drop(lines.drain(start + 1..end)),
            // Again: with the same name, and once in a while more often than anybody has media.
            2 => {
                let again = vec![section; 1 + self.below(3)].concat();
                lines.splice(end..end, again);
            }
            3 => drop(lines.splice(end..end, vec![section; 17].concat())),
            // Much too long.
            4 => {
                let line = self.one_of(&section).clone();
                lines.splice(end..end, vec![line; *self.one_of(&[50, 400, 2_000])]);
            }
            // Elsewhere.
            _ => {
                lines.drain(start..end);
                lines.splice(0..0, section);
            }
        }
    }
}
