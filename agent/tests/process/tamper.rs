//! Tampering, from the picture to the relay: on a real street that is drawn over, covered, blurred or seen
//! from elsewhere, and through an agent whose camera is covered while it runs.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    pairing::pair_with_file,
    relay::{Relay, until},
    support::{Home, agent, say_skipped},
};

/// The street scene of Debian's package opencv-doc, where `build/fetch-street-scene` has left it.
fn street() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_nightjar-agent")).ancestors().nth(2)?;
    let street = target.join("media/vtest.avi");
    if !street.exists() {
        say_skipped("tampering in a street: build/fetch-street-scene has not left it");
        return None;
    }
    Some(street)
}

/// What is found in a film that a graph of ffmpeg's filters makes of another, `[0]`.
fn found(film: &Path, graph: &str) -> Vec<Value> {
    let graph = format!("{graph},fps=5,scale=320:240,format=gray");
    let mut drawn = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(film)
        .args(["-filter_complex", &graph, "-f", "rawvideo", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests need ffmpeg");
    let pictures = drawn.stdout.take().unwrap();
    let output = agent()
        .args(["detect", "--tamper", "--raw", "320x240@5", "-"])
        .stdin(pictures)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(drawn.wait().unwrap().success() && output.status.success(), "{graph}");
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_street_with_its_passers_by_is_no_tampering_and_whatever_is_done_to_its_camera_is() {
    let Some(street) = street() else { return };
    assert_eq!(found(&street, "[0]null"), [Value::Null; 0]);
    let while_done = "enable='between(t,25,50)'";
    let elsewhere = "[0]split=3[a][b][c];\
         [a]trim=0:25,setpts=PTS-STARTPTS,crop=640:480:0:0[a1];\
         [b]trim=25:50,setpts=PTS-STARTPTS,crop=640:480:128:96[b1];\
         [c]trim=50:70,setpts=PTS-STARTPTS,crop=640:480:0:0[c1];[a1][b1][c1]concat=n=3";
    let deeds = [
        ("black", format!("[0]drawbox=color=black:t=fill:{while_done}")),
        ("covered", format!("[0]drawbox=color=0x705040:t=fill:{while_done}")),
        ("covered", format!("[0]drawbox=w=iw*0.8:color=0x907060:t=fill:{while_done}")),
        ("blurred", format!("[0]boxblur=12:2:{while_done}")),
        ("turned", elsewhere.to_owned()),
    ];
    for (kind, graph) in deeds {
        let found = found(&street, &graph);
        let [one] = &found[..] else { panic!("{kind}: {found:?}") };
        assert_eq!(one["tamper"], kind, "{one}");
        let [start_s, end_s] = ["start_s", "end_s"].map(|key| one[key].as_f64().unwrap());
        assert!((25.0..28.5).contains(&start_s) && (54.0..60.0).contains(&end_s), "{one}");
    }
}

/// A wall with a pattern for 14 s, then something flat before it for 10 s, over and over.
fn write_covered_wall(path: &Path) {
    let wall = "nullsrc=s=320x240:r=10,geq=lum='128+50*sin(X*Y/400)+40*sin(X/5+Y/9)':cb=128:cr=128,\
                trim=end_frame=1,loop=240:1:0,setpts=N/10/TB,\
                drawbox=color=0x706050:t=fill:enable='gte(t,14)',format=yuv420p";
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", wall, "-t", "24", "-c:v", "libx264"])
        .args(["-preset", "ultrafast", "-g", "10"])
        .arg(path)
        .status();
    assert!(made.expect("tests need ffmpeg").success());
}

#[tokio::test]
async fn a_camera_that_is_covered_tells_its_relay_with_footage_of_how_it_came_also_when_disarmed() {
    let Some(relay) = Relay::start().await else { return };
    let films = tempdir().unwrap();
    let film = films.path().join("wall.mp4");
    write_covered_wall(&film);
    let home = Home::with_config(&format!(
        "name = \"test\"\n[source]\nkind = \"file\"\npath = \"{}\"\nwidth = 320\nheight = 240\n\
         fps = 10\n[tamper]\nsensitivity = 1.0\n[recording]\npre_roll_s = 2\npost_roll_s = 1\n\
         min_free_percent = 0\n",
        film.display()
    ));
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let mut agent = home.run();
    relay.until_online(&camera).await;
    relay.carried_out(&camera, json!({"kind": "disarm"})).await;
    let tampered = async |state: &str| {
        let events = relay.events(&camera).await;
        events.into_iter().find(|event| event["kind"] == "tamper" && event["state"] == state)
    };
    let begun = until("the cover to be told", async || tampered("started").await).await;
    assert_eq!(begun["tamper"], "covered", "{begun}");
    let clip_id = begun["clip_id"].as_str().unwrap().to_owned();
    let ended = until("the end to be told", async || tampered("ended").await).await;
    assert_eq!((&ended["event_id"], &ended["reason"]), (&begun["event_id"], &json!("restored")));
    assert_eq!((&ended["tamper"], &ended["clip_id"]), (&json!("covered"), &begun["clip_id"]));
    relay.until_clip(&clip_id, "ready").await;
    until("its picture", async || tampered("ended").await?["thumbnail_url"].as_str().map(drop))
        .await;
    // From two seconds before the cover on: three seconds are between that and the belief.
    let clips = relay.clips(&camera).await;
    let clip = clips.iter().find(|clip| clip["clip_id"] == clip_id.as_str()).unwrap();
    let length_ms = clip["duration_ms"].as_u64().unwrap();
    assert!((5_000..20_000).contains(&length_ms), "{clip}");

    relay
        .carried_out(
            &camera,
            json!({"kind": "configure", "arguments": {"tamper_enabled": false, "tamper_sensitivity": 0.25}}),
        )
        .await;
    until("the switch to be told", async || {
        let told = relay.configuration(&camera).await;
        (told["tamper_enabled"] == false && told["tamper_sensitivity"] == 0.25).then_some(())
    })
    .await;
    agent.signal(rustix::process::Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
}
