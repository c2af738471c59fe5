//! The real program on file systems that cannot do what others can: it records all the same, and says
//! in one line what that means.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nightjar_agent::clock::Clock;

use super::{forgetful::Unable, fresh_disk, mount::lock};
use crate::source::PATIENCE;

const CONFIG: &str = "name = \"test\"\n[source]\nkind = \"synthetic\"\nwidth = 160\nheight = 120\n\
                      fps = 5\n[recording]\nmode = \"continuous\"\nmin_free_percent = 0\n";

/// Killed at the end, whatever that is.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn run(home: &Path, data_dir: &Path) -> Agent {
    fs::write(home.join("agent.toml"), CONFIG).unwrap();
    let log = fs::File::create(home.join("agent.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightjar-agent"));
    command.arg("run").arg("--config").arg(home.join("agent.toml"));
    command.arg("--data-dir").arg(data_dir).stdout(Stdio::null()).stderr(log);
    Agent(command.spawn().unwrap())
}

#[test]
fn the_camera_records_on_a_file_system_that_can_do_less_and_says_so() {
    let cases = [
        (Unable { rename_to_new: true, ..Unable::default() }, "cannot rename without replacing"),
        (Unable { sync_directories: true, ..Unable::default() }, "syncs no directories"),
        (Unable { modes: true, ..Unable::default() }, "keeps no modes"),
        (Unable { rename_to_new: true, sync_directories: true, modes: true }, "ext4"),
    ];
    for (unable, said) in cases {
        let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let Some((disk, mounted)) = fresh_disk(place.path(), Clock::default()) else { return };
        lock(&disk).unable = unable;
        let data_dir = mounted.path.join("cam");
        let agent = run(home.path(), &data_dir);
        let log = || fs::read_to_string(home.path().join("agent.log")).unwrap_or_default();
        let deadline = Instant::now() + PATIENCE;
        let records = || {
            let entries = fs::read_dir(data_dir.join("recordings")).ok()?;
            let mut sizes =
                entries.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len()));
            sizes.any(|size| size > 4_000).then_some(())
        };
        while records().is_none() {
            assert!(Instant::now() < deadline, "{unable:?}: nothing is recorded:\n{}", log());
            thread::sleep(Duration::from_millis(50));
        }
        let log = log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("is limited")).collect();
        assert_eq!(lines.len(), 1, "{unable:?}: {log}");
        assert!(lines[0].contains(said) && lines[0].contains("fuse"), "{}", lines[0]);
        assert!(data_dir.join("identity.pem").exists());
        drop(agent);
    }
}
