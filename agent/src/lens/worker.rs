//! The process that looks: it has no key and no file, gets grey pictures over its standard input, says what
//! QR codes are in them, and ends when that closes.
//!
//! A picture is its width and its height, 32 bits each, the lower byte first, and a byte for each pixel. The
//! answer is a line of JSON.

use std::{
    io::{self, Write as _},
    panic,
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::LumaFrame,
    qr::{self, Seen, View},
};

use crate::confine;

/// Pixels of the largest picture; the agent sends smaller ones.
const PIXELS_MAX: usize = 4_096 * 4_096;

/// Looks at pictures until the agent closes the standard input. Blocks.
pub fn run() -> anyhow::Result<()> {
    confine::close_inherited().context("cannot see what the agent left open")?;
    confine::confine();
    // What the reader was not made for is no reason to end, nor to be told of each time.
    panic::set_hook(Box::new(|_| {}));
    let mut view = View::default();
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    while let Some(picture) = next(&mut input)? {
        let seen: Vec<Seen> = panic::catch_unwind(|| qr::read(&picture, view)).unwrap_or_default();
        view = view.next();
        let mut line = serde_json::to_vec(&seen)?;
        line.push(b'\n');
        output.write_all(&line).and_then(|()| output.flush()).context("the agent is gone")?;
    }
    Ok(())
}

/// Reads the next picture; nothing where the agent has no more.
fn next(input: &mut impl io::Read) -> anyhow::Result<Option<LumaFrame>> {
    let mut head = [0; 8];
    if input.read(&mut head[..1])? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut head[1..])?;
    let [a, b, c, d, rest @ ..] = head;
    let side = |bytes| usize::try_from(u32::from_le_bytes(bytes));
    let (width, height) = (side([a, b, c, d])?, side(rest)?);
    let pixels = width.saturating_mul(height);
    ensure!(pixels <= PIXELS_MAX, "a picture of {width}x{height} is too large");
    let mut data = vec![0; pixels];
    input.read_exact(&mut data)?;
    let captured_at = MonotonicNanos::default();
    Ok(Some(LumaFrame { data: Bytes::from(data), width, height, stride: width, captured_at }))
}
