//! Viewers in a process of their own, so that their processor time is not the sender's.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result};
use gstreamer as gst;
use reqwest::Client;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::webrtc::{Door, Viewer};

/// For an order with several viewers, each of which may have to wait for its turn.
const ORDER_LIMIT: Duration = Duration::from_mins(4);

/// Janus asks its encoder for a key frame once a second at most: a viewer that comes sooner would
/// be timed with the wait for that. Each time a little longer, so that not all come at the same moment
/// of the second.
const BETWEEN_JOINS: Duration = Duration::from_secs(2);
const LATER_EACH_TIME: Duration = Duration::from_millis(97);

/// What the process is told, a line of JSON each; it answers each with another one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Opens sessions one after the other and hangs up at their first picture. Answered with when
    /// that came, in milliseconds after the POST.
    Join { door: Door, times: u32 },
    /// Opens sessions until there are so many. Answered with how many there are.
    Watch { door: Door, viewers: usize },
    /// Answered with [`Received`].
    Count,
    /// Hangs up everywhere. Answered with how many sessions that were.
    Leave,
}

/// What all viewers together got so far.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// The process.
pub(crate) struct Viewers {
    // Killed when it is dropped.
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Viewers {
    pub(crate) fn start() -> Result<Self> {
        let own = std::env::current_exe().context("cannot tell where this program lies")?;
        let mut child = Command::new(own)
            .arg("viewers")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the viewers")?;
        let input = child.stdin.take().context("no way to the viewers")?;
        let output = child.stdout.take().context("no way from the viewers")?;
        Ok(Self { _child: child, input, output: BufReader::new(output).lines() })
    }

    /// Gives an order and waits until it is carried out.
    pub(crate) async fn order<T: DeserializeOwned>(&mut self, order: &Order) -> Result<T> {
        let line = serde_json::to_string(order)? + "\n";
        self.input.write_all(line.as_bytes()).await.context("the viewers are gone")?;
        let answer = timeout(ORDER_LIMIT, self.output.next_line())
            .await
            .with_context(|| format!("the viewers are still busy with {order:?}"))??;
        let answer = answer.with_context(|| format!("the viewers failed at {order:?}"))?;
        serde_json::from_str(&answer).with_context(|| format!("the viewers said {answer}"))
    }
}

/// The process's task, until standard input ends.
pub(crate) async fn obey() -> Result<()> {
    gst::init()?;
    // Orders are waited for outside the runtime, where nobody would see an idle connection close.
    let client = Client::builder().pool_max_idle_per_host(0).build()?;
    let mut viewers: Vec<Viewer> = Vec::new();
    for line in std::io::stdin().lines() {
        match serde_json::from_str(&line?)? {
            Order::Join { door, times } => say(&join(&client, &door, times).await?)?,
            Order::Watch { door, viewers: wanted } => {
                while viewers.len() < wanted {
                    viewers.push(Viewer::open(&client, &door, false).await?);
                }
                say(&viewers.len())?;
            }
            Order::Count => say(&count(&viewers))?,
            Order::Leave => {
                say(&viewers.len())?;
                for viewer in viewers.drain(..) {
                    viewer.close().await?;
                }
            }
        }
    }
    Ok(())
}

async fn join(client: &Client, door: &Door, times: u32) -> Result<Vec<f64>> {
    let mut joins = Vec::new();
    for time in 0..times {
        tokio::time::sleep(BETWEEN_JOINS + LATER_EACH_TIME * time).await;
        let viewer = Viewer::open(client, door, true).await?;
        joins.push(viewer.first_frame().as_secs_f64() * 1_000.0);
        viewer.close().await?;
    }
    Ok(joins)
}

fn count(viewers: &[Viewer]) -> Received {
    let none = Received { frames: 0, bytes: 0 };
    viewers.iter().map(Viewer::seen).fold(none, |all, (frames, bytes)| Received {
        frames: all.frames + frames,
        bytes: all.bytes + bytes,
    })
}

#[expect(clippy::print_stdout, reason = "standard output goes to whoever gave the order")]
fn say(answer: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}
