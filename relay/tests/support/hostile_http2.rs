//! A client of HTTP/2 that does what no browser does: it writes its frames by hand (RFC 9113), opens
//! the windows that it likes, and answers pings all the same. Also included by other test programs.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const SETTING_INITIAL_WINDOW_SIZE: u16 = 4;

/// One connection.
pub(crate) struct Hostile<S> {
    stream: S,
    next_stream: u32,
    pub(crate) seen: Seen,
}

/// What the server has sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) answers: usize,
    pub(crate) data_bytes: usize,
    pub(crate) resets: usize,
    pub(crate) pings: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Hostile<S> {
    /// Begins on a connection whose TLS, if any, is done. A window of 0 takes no byte of any answer.
    pub(crate) async fn begin(stream: S, window: u32) -> io::Result<Self> {
        let mut client = Self { stream, next_stream: 1, seen: Seen::default() };
        client.stream.write_all(PREFACE).await?;
        let mut setting = SETTING_INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
        setting.extend(window.to_be_bytes());
        client.frame(SETTINGS, 0, 0, &setting).await?;
        Ok(client)
    }

    /// Asks for `path`, and returns the stream's number.
    pub(crate) async fn get(
        &mut self,
        authority: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<u32> {
        let own =
            [(":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", path)];
        let mut block = Vec::new();
        for (name, value) in own.iter().chain(headers) {
            // A literal field without indexing, with a new name (RFC 7541, 6.2.2).
            block.push(0);
            for text in [name, value] {
                length(&mut block, text.len());
                block.extend(text.as_bytes());
            }
        }
        let stream = self.next_stream;
        self.next_stream += 2;
        self.frame(HEADERS, END_STREAM | END_HEADERS, stream, &block).await?;
        Ok(stream)
    }

    /// Lets the server send `bytes` more on a stream; stream 0 is the connection.
    pub(crate) async fn open_window(&mut self, stream: u32, bytes: u32) -> io::Result<()> {
        self.frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await
    }

    /// Answers pings and settings until the server closes the connection.
    pub(crate) async fn until_closed(&mut self) {
        while self.turn().await.is_ok() {}
    }

    /// Reads one frame, and answers it where it must be.
    pub(crate) async fn turn(&mut self) -> io::Result<()> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await?;
        let [high, middle, low, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        self.stream.read_exact(&mut payload).await?;
        match kind {
            SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]).await?,
            PING if flags & ACK == 0 => {
                self.seen.pings += 1;
                self.frame(PING, ACK, 0, &payload).await?;
            }
            HEADERS => self.seen.answers += 1,
            DATA => self.seen.data_bytes += payload.len(),
            RST_STREAM => self.seen.resets += 1,
            GOAWAY => return Err(io::ErrorKind::ConnectionAborted.into()),
            _ => {}
        }
        Ok(())
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?.to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).await
    }
}

/// Writes an integer with a prefix of seven bits (RFC 7541, 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    const PREFIX_MAX: u8 = 0x7f;
    match u8::try_from(length) {
        Ok(short) if short < PREFIX_MAX => block.push(short),
        _ => {
            block.push(PREFIX_MAX);
            let mut rest = length - usize::from(PREFIX_MAX);
            loop {
                let [low, ..] = rest.to_le_bytes();
                rest >>= 7;
                if rest == 0 {
                    block.push(low);
                    break;
                }
                block.push(low | 0x80);
            }
        }
    }
}
