//! The process that looks, as the agent sees it: started when it is needed, asked one picture after the
//! other, ended when it hangs.

use std::{ffi::OsString, io, path::PathBuf, process::Stdio, time::Duration};

use nightjar_core::{backoff::Backoff, monotonic::MonotonicNanos, picture::LumaFrame, qr::Seen};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time,
};

use crate::{logging, machine::chance};

/// A picture that takes longer was made to take long.
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// What a look may say: eight codes of the longest kind, written as JSON.
const LONGEST_ANSWER: u64 = 32 * 1024;
/// A process that does not end when its input closes is killed.
const FAREWELL: Duration = Duration::from_secs(1);
/// Pauses before one that broke off is started again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// How the process is started.
#[derive(Debug, Clone)]
pub struct ReaderCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl ReaderCommand {
    /// Starts this very program, even when its file was replaced since it started.
    pub fn this_program() -> Self {
        Self { program: "/proc/self/exe".into(), arguments: vec!["qr-reader".into()] }
    }

    fn spawn(&self) -> io::Result<Running> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(
                std::env::vars_os()
                    .filter(|(name, _)| name == "LD_LIBRARY_PATH" || name == "RUST_LOG"),
            )
            .envs([logging::for_children()])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let pictures = child.stdin.take().ok_or_else(missing)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        Ok(Running { child, pictures, answers })
    }
}

struct Running {
    child: Child,
    pictures: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Running {
    async fn ask(&mut self, picture: &LumaFrame) -> io::Result<Vec<Seen>> {
        let side = |pixels: usize| {
            u32::try_from(pixels).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
        };
        let mut head = side(picture.width)?.to_le_bytes().to_vec();
        head.extend(side(picture.height)?.to_le_bytes());
        let rows = picture.data.get(..picture.width * picture.height);
        let rows = rows.filter(|_| picture.stride == picture.width);
        self.pictures.write_all(&head).await?;
        self.pictures.write_all(rows.ok_or(io::ErrorKind::InvalidInput)?).await?;
        self.pictures.flush().await?;
        let mut line = String::new();
        (&mut self.answers).take(LONGEST_ANSWER).read_line(&mut line).await?;
        Ok(serde_json::from_str(&line)?)
    }

    async fn stop(mut self) {
        drop(self.pictures);
        if time::timeout(FAREWELL, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// Looks at pictures. What it cannot look at holds no code.
pub(super) struct Reader {
    command: ReaderCommand,
    running: Option<Running>,
    backoff: Backoff,
    again_at: MonotonicNanos,
}

impl Reader {
    pub(super) fn new(command: ReaderCommand) -> Self {
        let (first, last) = AGAIN;
        let backoff = Backoff::new(first, last);
        Self { command, running: None, backoff, again_at: MonotonicNanos::default() }
    }

    /// Returns the codes in a picture.
    pub(super) async fn look(&mut self, picture: &LumaFrame, now: MonotonicNanos) -> Vec<Seen> {
        let running = match self.running.take() {
            Some(running) => running,
            None if now < self.again_at => return Vec::new(),
            None => match self.command.spawn() {
                Ok(running) => running,
                Err(error) => return self.give_up(now, &error),
            },
        };
        // Dropping it ends the process.
        let running = self.running.insert(running);
        match time::timeout(LONGEST_LOOK, running.ask(picture)).await {
            Ok(Ok(seen)) => {
                self.backoff.reset();
                seen
            }
            Ok(Err(error)) => self.give_up(now, &error),
            Err(_) => self.give_up(now, &io::ErrorKind::TimedOut.into()),
        }
    }

    fn give_up(&mut self, now: MonotonicNanos, error: &io::Error) -> Vec<Seen> {
        self.running = None;
        let pause = self.backoff.next_delay(chance());
        self.again_at = now.plus(pause);
        let again_in_s = pause.as_secs();
        tracing::warn!(%error, again_in_s, "the process that looks for QR codes broke off");
        Vec::new()
    }

    pub(super) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}
