//! Cameras that encode by themselves, cameras that become others, and pictures of television: by the
//! kernel, in a guest. v4l2loopback is what a program writes into on one side and a camera on the other.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    guest::{Machine, v4l2loopback},
    stack::Scenario,
};

use crate::guest_camera::GuestCamera;

const SOURCE: &str = "kind = \"v4l2\"\nwidth = 640\nheight = 480\nfps = 10\n";

/// What writes; see there.
const WRITER: &str = include_str!("writing_camera.py");

/// Shell that lets a program write `file` into the camera, in place of the one before.
fn writes(directory: &Path, format: &str, file: &str) -> String {
    let here = directory.display();
    format!(
        "[ ! -e /run/writer.pid ] || kill $(cat /run/writer.pid) || true\n\
         python3 {here}/writer.py /dev/video0 {format} {here}/{file} >/run/writer.log 2>&1 &\n\
         echo $! >/run/writer.pid\n\
         (tries=0\n\
         until grep writing /run/writer.log; do\n\
             sleep 0.2; tries=$((tries + 1)); [ $tries -lt 150 ] || {{ cat /run/writer.log; exit 1; }}\n\
         done)"
    )
}

/// The recorded scene as JPEGs. Of the same size: v4l2loopback keeps its buffers while anybody has it open.
fn draw_jpegs(walker: &Path, file: &Path) -> Result<()> {
    let drawn = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(walker)
        .args(["-q:v", "4", "-f", "mjpeg"])
        .arg(file)
        .status()
        .context("cannot start ffmpeg")?;
    ensure!(drawn.success(), "ffmpeg: {drawn}");
    Ok(())
}

/// Begins the first slice of a key frame: in a recording it stands as the camera made it, or not at all.
fn key_slice(stream: &[u8]) -> Result<&[u8]> {
    let at = stream.windows(4).position(|window| window == [0, 0, 1, 0x65]);
    let slice = &stream[at.context("a stream without a key frame")? + 3..];
    slice.get(..256).context("a stream that ends there")
}

#[tokio::test]
#[ignore = "takes minutes in an emulated processor: make test-v4l2"]
async fn a_camera_that_encodes_is_recorded_as_it_is_and_may_become_another() -> Result<()> {
    Scenario::run("encoding_camera", |directory| async move {
        let walker =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/recorder/walker.h264");
        fs::copy(&walker, directory.join("walker.h264"))?;
        draw_jpegs(&walker, &directory.join("walker.mjpeg"))?;
        fs::write(directory.join("writer.py"), WRITER)?;
        let Some(module) = v4l2loopback(&directory).await? else { return Ok(()) };
        let module = format!("{} exclusive_caps=1 video_nr=0", module.display());
        let machine =
            Machine { modules: vec!["videodev".into(), module.into()], ..Machine::default() };
        let h264 = writes(&directory, "H264 320 180 10", "walker.h264");
        let started = GuestCamera::start(&directory, &machine, &h264, SOURCE).await?;
        let Some(mut camera) = started else { return Ok(()) };

        let capture = camera.sees("H.264 of the camera's own").await?;
        ensure!(capture["encoder"] == "passthrough", "{capture}");
        ensure!((&capture["width"], &capture["height"]) == (&320.into(), &180.into()), "{capture}");
        camera.records("H.264").await?;
        camera.guest.run("kill -STOP $(cat /run/writer.pid)").await?;
        camera.complains("H.264 that stops", &["no picture"]).await?;
        let clips = camera.footage_is_whole("H.264 that stops").await?;
        let (stream, clip) = (fs::read(&walker)?, fs::read(&clips[0])?);
        let slice = key_slice(&stream)?;
        ensure!(
            clip.windows(slice.len()).any(|window| window == slice),
            "what was recorded is not what the camera made"
        );
        camera.guest.run("kill -CONT $(cat /run/writer.pid)").await?;
        camera.sees("H.264 that goes on").await?;

        // The same camera, in another format.
        camera.guest.run("kill $(cat /run/writer.pid)").await?;
        camera.complains("a camera without a signal", &["no picture", "camera", "source"]).await?;
        camera.guest.run(&writes(&directory, "MJPG 320 180 10", "walker.mjpeg")).await?;
        let capture = camera.sees("MJPEG").await?;
        ensure!(capture["encoder"] != "passthrough" && capture["width"] == 320, "{capture}");
        camera.records("MJPEG").await?;
        camera.has_not_ended("another format").await?;
        camera.guest.run("kill $(cat /run/writer.pid)").await?;
        camera.complains("the end", &["no picture", "camera", "source"]).await?;
        camera.footage_is_whole("both formats").await?;
        camera.stop().await
    })
    .await
}

/// A grabber of television: 720x576 in half pictures, 25 a second, in oblong pixels.
const TELEVISION: &str = "vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0x02";

/// Pictures that an independent tool takes for woven of two half pictures that do not belong together,
/// and for whole ones.
fn woven_and_whole(clip: &Path) -> Result<(u32, u32)> {
    let output = Command::new("ffmpeg")
        .args(["-i"])
        .arg(clip)
        .args(["-vf", "idet", "-f", "null", "-"])
        .output()
        .context("cannot start ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("Multi frame detection"));
    let line = line.with_context(|| format!("ffmpeg judged nothing: {said}"))?;
    let count = |name: &str| -> Result<u32> {
        let rest = line.split_once(name).context("no count")?.1.trim_start();
        Ok(rest.split_whitespace().next().context("no count")?.parse()?)
    };
    Ok((count("TFF:")? + count("BFF:")?, count("Progressive:")?))
}

#[tokio::test]
#[ignore = "takes minutes in an emulated processor: make test-v4l2"]
async fn television_of_half_pictures_is_recorded_as_whole_ones() -> Result<()> {
    Scenario::run("television", |directory| async move {
        let machine = Machine { modules: vec![TELEVISION.into()], ..Machine::default() };
        // It moves sideways, fast: half pictures of two moments differ.
        let moving = "v4l2-ctl -d /dev/video0 --set-ctrl horizontal_movement=6 \
                      --set-ctrl test_pattern=0";
        let source =
            "kind = \"v4l2\"\nwidth = 768\nheight = 576\nfps = 5\nfit_to_encoder = false\n";
        let Some(mut camera) = GuestCamera::start(&directory, &machine, moving, source).await?
        else {
            return Ok(());
        };
        camera.sees("television").await?;
        camera.records("television").await?;
        // Several groups of pictures.
        camera
            .guest
            .run(
                "(tries=0\n\
                 until [ $(du -sk /run/agent/recordings | cut -f 1) -gt 600 ]; do\n\
                     sleep 0.5; tries=$((tries + 1)); [ $tries -lt 120 ] || exit 1\n\
                 done)\n\
                 v4l2-ctl -d /dev/video0 --set-ctrl disconnect=1",
            )
            .await?;
        camera.complains("its end", &["camera", "device", "plug"]).await?;
        let clips = camera.footage_is_whole("its end").await?;
        let (woven, whole) = woven_and_whole(&clips[0])?;
        ensure!(whole > woven * 4 && whole > 10, "{woven} pictures are combs, {whole} are not");
        camera.stop().await
    })
    .await
}
