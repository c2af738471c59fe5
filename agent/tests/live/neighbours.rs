//! Viewers come, go, freeze and die; whoever watches beside them loses nothing.

#![expect(
    clippy::print_stdout,
    reason = "a viewer in a process of its own speaks by its standard output"
)]

use std::{
    io::{BufRead as _, stdin},
    process::Stdio,
};

use nightjar_shared::{
    ids::SessionId,
    signal::{Signal, SignalKind},
};
use rustix::process::Signal as ProcessSignal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{self, Instant},
};

use crate::{
    PATIENCE, TURN,
    camera::{Camera, send_signal},
    viewer::Viewer,
};

/// What the viewer apart says among the words of the test harness around it.
const SAYS: &str = "the viewer apart says ";
const TOLD_BY: &str = "NIGHTJAR_TEST_VIEWER_APART";

/// A viewer in a process of its own: this very test program, which runs [`a_viewer_apart`] alone.
struct Apart {
    child: Child,
    words: Lines<BufReader<ChildStdout>>,
}

impl Apart {
    /// One that gets frames.
    async fn watch(camera: &mut Camera) -> (Self, SessionId) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "neighbours::a_viewer_apart", "--ignored", "--nocapture"])
            .env(TOLD_BY, "yes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let words = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut this = Self { child, words };
        let offer: String = this.hear().await;
        let answer = camera.offer(offer).await;
        let line = serde_json::to_string(&answer.sdp.unwrap()).unwrap() + "\n";
        this.child.stdin.as_mut().unwrap().write_all(line.as_bytes()).await.unwrap();
        assert_eq!(this.hear().await, "I see it");
        (this, answer.session_id)
    }

    async fn hear(&mut self) -> String {
        loop {
            let line = time::timeout(PATIENCE, self.words.next_line()).await.expect("a word");
            let line = line.unwrap().expect("the viewer apart has ended");
            if let Some((_, said)) = line.split_once(SAYS) {
                return serde_json::from_str(said).unwrap();
            }
        }
    }

    fn signal(&self, signal: ProcessSignal) {
        send_signal(i32::try_from(self.child.id().unwrap()).unwrap(), signal);
    }
}

fn say(text: &str) {
    println!("{SAYS}{}", serde_json::to_string(text).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by other tests, as a process of its own"]
async fn a_viewer_apart() {
    if std::env::var_os(TOLD_BY).is_none() {
        return;
    }
    let mut viewer = Viewer::new();
    say(&viewer.offer().await);
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).unwrap();
    viewer.accept(&serde_json::from_str::<String>(&answer).unwrap());
    viewer.receive(5).await;
    say("I see it");
    // Until it is killed, or its parent is gone.
    let _ = stdin().lock().read_line(&mut answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_leaves_freezes_or_dies_costs_the_neighbour_no_packet() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    let (mut watching, _) = camera.watch().await;
    watching.receive(5).await;
    // One that says little is not taken for one that is gone.
    let (mut quiet, _) = camera.watch_with(Viewer::that_reports_rarely()).await;
    quiet.receive(5).await;

    for _ in 0..5 {
        let (mut passing, id) = camera.watch().await;
        passing.receive(5).await;
        camera.signals.send(Signal::new(id, SignalKind::Bye)).await.unwrap();
    }
    let (vanishing, id) = camera.watch().await;
    drop(vanishing);
    assert_eq!(camera.reply_to(id).await.reason.as_deref(), Some("viewer_gone"));
    for signal in [ProcessSignal::STOP, ProcessSignal::KILL] {
        let (apart, id) = Apart::watch(&mut camera).await;
        apart.signal(signal);
        let since = Instant::now();
        assert_eq!(camera.reply_to(id).await.reason.as_deref(), Some("viewer_gone"));
        println!("after {signal:?} a viewer was reaped in {:?}", since.elapsed());
        camera.until_viewers(2).await;
    }

    for mut neighbour in [watching, quiet] {
        neighbour.receive_more(10).await;
        assert_eq!(neighbour.missing_packets(), 0);
    }
    camera.stop().await;
}
