//! The same pictures through `OpenCV`'s MOG2, where Debian's python3-opencv is installed.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Pictures that it looks at: it is slow.
const PICTURES: usize = 60;

/// Reads raw pictures, warms up on the first ten, and prints the best nanoseconds a pixel that
/// ten in a row took on one thread. Exit code 3: there is no `OpenCV`.
const SCRIPT: &str = "
import sys, time
try:
    import cv2, numpy
except ImportError:
    sys.exit(3)
width, height = int(sys.argv[1]), int(sys.argv[2])
raw = numpy.frombuffer(sys.stdin.buffer.read(), numpy.uint8)
frames = raw.reshape(-1, height, width)
cv2.setNumThreads(1)
model = cv2.createBackgroundSubtractorMOG2()
best = float('inf')
for start in range(0, len(frames), 10):
    begun = time.thread_time_ns()
    for frame in frames[start:start + 10]:
        model.apply(frame)
    if start:
        best = min(best, (time.thread_time_ns() - begun) / (10 * width * height))
print(best)
";

/// Nanoseconds a pixel; none without `OpenCV`.
pub(crate) fn cost(frames: &[Vec<u8>], (width, height): (usize, usize)) -> Result<Option<f64>> {
    let child = Command::new("/usr/bin/python3")
        .args(["-c", SCRIPT, &width.to_string(), &height.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return Ok(None) };
    let mut input = child.stdin.take().context("a pipe without an end")?;
    for frame in frames.iter().take(PICTURES) {
        // It may have ended already: its exit code tells why.
        if input.write_all(frame).is_err() {
            break;
        }
    }
    drop(input);
    let output = child.wait_with_output().context("OpenCV does not end")?;
    if output.status.code() == Some(3) {
        return Ok(None);
    }
    ensure!(output.status.success(), "OpenCV failed");
    let text = String::from_utf8(output.stdout).context("OpenCV's answer")?;
    Ok(Some(text.trim().parse().context("OpenCV's answer")?))
}
