//! Long work on a terminal shows how far it is; in a pipe nothing of that is written.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{
    recorded::recorded,
    support::{Home, agent, output},
};

const CONFIG: &str = "name = \"test\"\n[source]\nkind = \"synthetic\"\nwidth = 320\nheight = 240\n\
    fps = 10\nquiet_s = 5\nwalk_s = 3\n[recording]\nmode = \"both\"\npre_roll_s = 1\npost_roll_s = 1\n\
    min_free_percent = 0\n";

/// Runs a command on a terminal of its own, and gives what is written to it.
fn on_a_terminal(command: &Command, kind: &str) -> String {
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    let line: Vec<String> = words.iter().map(|it| format!("'{}'", it.display())).collect();
    let written = Command::new("script")
        .args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"])
        .env("TERM", kind)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(written.stdout).unwrap();
    assert!(written.status.success(), "{line:?}: {text}");
    text
}

/// What is left to be read once a line has been drawn over itself.
fn remains(written: &str) -> String {
    let lines = written.split('\n').map(|line| line.trim_end_matches('\r').rsplit('\r').next());
    lines
        .map(|line| line.unwrap_or_default().replace("\u{1b}[2K", ""))
        .collect::<Vec<_>>()
        .join("\n")
}

#[track_caller]
fn assert_quiet_in_a_pipe(command: &mut Command) -> Output {
    let written = output(command, "");
    assert!(written.status.success(), "{written:?}");
    let complaints = String::from_utf8(written.stderr.clone()).unwrap();
    assert_eq!(complaints, "", "nothing but the result");
    assert!(!written.stdout.contains(&b'\r') && !written.stdout.contains(&0x1b), "{written:?}");
    written
}

fn tool(home: &Home, arguments: &[&str]) -> Command {
    let mut command = agent();
    command.arg(arguments[0]).arg("--data-dir").arg(home.data_dir()).args(&arguments[1..]);
    command
}

#[test]
fn exporting_and_checking_show_how_far_they_are_on_a_terminal_alone() {
    let home = recorded(CONFIG);
    let out = home.path("out.mp4");
    let out = out.to_str().unwrap();
    let span = ["export", "--from", "2020-01-01", "--to", "2100-01-01", "--out", out];
    for (arguments, stage) in
        [(&span[..], "writing"), (&["fsck"], "comparing index and recordings")]
    {
        let mut command = tool(&home, arguments);
        let quiet = assert_quiet_in_a_pipe(&mut command);
        let shown = on_a_terminal(&command, "xterm");
        assert!(shown.contains(stage) && shown.contains(" left"), "{shown:?}");
        let result = String::from_utf8(quiet.stdout).unwrap();
        assert_eq!(remains(&shown).trim(), result.trim(), "{shown:?}");
        let dumb = on_a_terminal(&command, "dumb").replace("\r\n", "\n");
        assert_eq!(dumb, result, "a terminal that cannot go back gets the result alone");
    }
}

#[test]
fn looking_for_motion_shows_how_far_it_is_between_what_it_finds() {
    let home = Home::synthetic();
    let footage = home.path("footage.raw");
    write_steps(&footage);
    let mut command = agent();
    command.args(["detect", "--raw", "64x48@10"]).arg(&footage);
    let quiet = assert_quiet_in_a_pipe(&mut command);
    let shown = on_a_terminal(&command, "xterm");
    assert!(shown.contains("looking for motion") && shown.contains(" left"), "{shown:?}");
    assert_eq!(remains(&shown).trim(), String::from_utf8(quiet.stdout).unwrap().trim());
    // The length of a stream is not known: what is shown then is that it goes on.
    let mut streamed = Command::new("sh");
    let program = command.get_program().to_str().unwrap().to_owned();
    let line = format!("{program} detect --raw 64x48@10 - <{}", footage.display());
    streamed.args(["-c", &line]);
    let shown = on_a_terminal(&streamed, "xterm");
    assert!(shown.contains("looking for motion") && !shown.contains(" left"), "{shown:?}");
}

/// Pictures in which nothing moves.
fn write_steps(path: &Path) {
    let picture: Vec<u8> = (0..64 * 48).map(|at: usize| u8::try_from(at % 200).unwrap()).collect();
    fs::write(path, picture.repeat(300)).unwrap();
}
