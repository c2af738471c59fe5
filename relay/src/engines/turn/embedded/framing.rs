//! TURN over TCP or TLS: STUN messages and channel data one after the other.

use std::{borrow::Cow, io};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

const STUN_HEADER_BYTES: usize = 20;
const CHANNEL_HEADER_BYTES: usize = 4;
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

/// Media packets are smaller; who announces more is no client of ours.
const FRAME_BYTES_MAX: usize = 8 * 1024;

/// Returns whether this can be the first message of a client.
pub(super) fn begins_like_stun(bytes: &[u8]) -> bool {
    bytes.len() >= STUN_HEADER_BYTES && bytes[0] & 0xC0 == 0 && bytes[4..8] == STUN_COOKIE
}

/// Pads a message for a stream, where channel data is padded to four bytes.
pub(super) fn padded(message: &[u8]) -> Cow<'_, [u8]> {
    let missing = message.len().next_multiple_of(4) - message.len();
    if missing == 0 {
        return message.into();
    }
    [message, &[0; 3][..missing]].concat().into()
}

/// A client's stream, cut into messages.
pub(super) struct Frames {
    stream: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
}

impl Frames {
    pub(super) fn new(stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: BytesMut::new() }
    }

    /// Waits for the next message without its padding: `None` at the end. Safe to cancel.
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(length) = frame_length(&self.buffer)? {
                // The protocol behind this knows datagrams: padding would confuse it.
                let on_the_stream = length.next_multiple_of(4);
                if self.buffer.len() >= on_the_stream {
                    let frame = self.buffer[..length].to_vec();
                    self.buffer.advance(on_the_stream);
                    return Ok(Some(frame));
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Returns how long the message at the beginning is without padding, once enough of it is there to
/// know.
fn frame_length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(header) = bytes.first_chunk::<CHANNEL_HEADER_BYTES>() else { return Ok(None) };
    let announced = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let length = match header[0] >> 6 {
        0b00 => STUN_HEADER_BYTES + announced,
        0b01 => CHANNEL_HEADER_BYTES + announced,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "neither STUN nor a channel")),
    };
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
    }
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_where_they_say() {
        assert_eq!(frame_length(&[0, 1, 0]).unwrap(), None);
        assert_eq!(frame_length(&[0, 1, 0, 8]).unwrap(), Some(28));
        assert_eq!(frame_length(&[0x40, 0, 0, 5]).unwrap(), Some(9));
        assert!(frame_length(&[0x80, 0, 0, 5]).is_err());
        assert!(frame_length(&[0, 1, 0xFF, 0xFC]).is_err());
    }

    #[test]
    fn channel_data_is_padded() {
        assert_eq!(padded(&[0x40, 0, 0, 1, 9]).as_ref(), [0x40, 0, 0, 1, 9, 0, 0, 0]);
        assert_eq!(padded(&[0x40, 0, 0, 0]).as_ref(), [0x40, 0, 0, 0]);
    }

    #[test]
    fn a_first_message_has_stuns_cookie() {
        let mut message = [0; 20];
        assert!(!begins_like_stun(&message));
        message[4..8].copy_from_slice(&STUN_COOKIE);
        assert!(begins_like_stun(&message) && !begins_like_stun(&message[..19]));
        message[0] = 0x40;
        assert!(!begins_like_stun(&message), "channel data comes later");
    }
}
