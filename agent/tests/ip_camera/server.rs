//! A camera that encodes, by gst-rtsp-server: `e2e/rtsp-camera`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A running camera, on loopback. It ends with the test.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Nothing, said aloud, where the library is not installed. Each mount is `PATH=PIPELINE`.
    pub(crate) fn start(options: &[&str], mounts: &[String]) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/rtsp-camera");
        let mut child = python(&script)?
            .args(options)
            .args(mounts)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Some(Self { child, port: line.trim().parse().expect("the camera listens") })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("rtsp://127.0.0.1:{}{path}", self.port)
    }

    /// From now on it is connected and says nothing.
    pub(crate) fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn python(script: &Path) -> Option<Command> {
    let mut ask = Command::new(script);
    let asked = ask.arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if asked.is_ok_and(|status| status.success()) {
        return Some(Command::new(script));
    }
    let why = "there is no gst-rtsp-server: build/install-packages test";
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
    None
}

/// A camera's pipeline: small pictures, 15 a second, encoded by x264 with these properties into this
/// profile.
pub(crate) fn mount(path: &str, properties: &str, profile: &str) -> String {
    format!(
        "{path}=videotestsrc is-live=true pattern=ball ! \
         video/x-raw,format=I420,width=320,height=240,framerate=15/1 ! \
         x264enc speed-preset=superfast threads=1 {properties} ! video/x-h264,profile={profile} ! \
         rtph264pay name=pay0 pt=96"
    )
}
