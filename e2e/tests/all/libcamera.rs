//! Cameras behind libcamera: its `virtual` camera, which gives a street scene, in a guest that runs
//! Debian 13 and its kernel.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    guest::{Guest, Machine, System},
    programs,
    stack::Scenario,
};

use crate::guest_camera::GuestCamera;

/// What stands in `[source]`. Emulated, its encoder is slow while it is translated.
const SOURCE: &str =
    "kind = \"libcamera\"\nwidth = 320\nheight = 240\nfps = 5\nfit_to_encoder = false\n";

/// Small, slow and few: the guest's processor is emulated, and libcamera decodes all of them whenever it
/// looks for cameras.
const SIZE: &str = "320:240";
const PICTURES: &str = "6";

/// Where Debian's libcamera looks for the cameras that it is to pretend.
const CAMERAS_FILE: &str = "/usr/share/libcamera/pipeline/virtual/virtual.yaml";

/// A camera that shows the pictures of a folder, over and over.
fn cameras(pictures: &Path) -> String {
    format!(
        "\"street\":\n  supported_formats:\n  - width: 320\n    height: 240\n    frame_rates:\n    - 5\n\
         \x20 frames:\n    path: \"{}/\"\n  location: \"CameraLocationExternal\"\n  model: \"Street\"\n",
        pictures.display()
    )
}

/// Draws the first pictures of the street scene as JPEGs.
fn draw(pictures: &Path) -> Result<()> {
    fs::create_dir_all(pictures).context("cannot make a folder for pictures")?;
    let drawn = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(programs::street_scene()?)
        .args(["-vf", &format!("scale={SIZE}"), "-frames:v", PICTURES, "-start_number", "0"])
        .arg(pictures.join("%d.jpg"))
        .status()
        .context("cannot start ffmpeg")?;
    ensure!(drawn.success(), "ffmpeg: {drawn}");
    Ok(())
}

/// Debian 13, without a camera of its own.
fn machine() -> Result<Machine> {
    let (device, modules) = (Some(""), vec!["videodev".into()]);
    Ok(Machine { device, modules, system: Some(System::debian13()?), ..Machine::default() })
}

/// Draws the street; gives shell that puts it before the guest's camera.
fn street(directory: &Path) -> Result<String> {
    let pictures = directory.join("pictures");
    draw(&pictures)?;
    fs::write(directory.join("virtual.yaml"), cameras(&pictures))?;
    let here = directory.display();
    Ok(format!("mkdir -p $(dirname {CAMERAS_FILE}) && cp {here}/virtual.yaml {CAMERAS_FILE}"))
}

#[tokio::test]
#[ignore = "needs a root of Debian 13: make test-debian13"]
async fn libcamera_shows_the_street_to_gstreamer() -> Result<()> {
    Scenario::run("libcamera", |directory| async move {
        let street = street(&directory)?;
        let Some(mut guest) = Guest::boot(&directory, &machine()?)? else { return Ok(()) };
        guest.run(&street).await?;
        let listed = guest.run("cam --list 2>&1").await?;
        ensure!(listed.contains("street") || listed.contains("Street"), "no camera: {listed}");
        let seen = directory.join("seen-%03d.jpg");
        guest
            .run(&format!(
                "gst-launch-1.0 -q libcamerasrc ! video/x-raw,format=NV12,width=320,height=240 ! \
                 identity eos-after=12 ! jpegenc ! multifilesink location={} 2>&1",
                seen.display()
            ))
            .await?;
        let pictures = fs::read_dir(&directory)?.flatten();
        let seen = pictures.filter(|it| it.file_name().to_string_lossy().starts_with("seen-"));
        ensure!(seen.count() >= 10, "too few pictures came");
        guest.stop().await
    })
    .await
}

/// It has no camera to show: libcamera's `virtual` one is found once in a process, by the first that looks,
/// and the agent looks again whenever it tries a camera out.
#[tokio::test]
#[ignore = "needs a root of Debian 13: make test-debian13"]
async fn a_libcamera_that_finds_no_sensor_is_told_of_with_what_to_do() -> Result<()> {
    Scenario::run("libcamera_agent", |directory| async move {
        let started = GuestCamera::start(&directory, &machine()?, "true", SOURCE).await?;
        let Some(mut camera) = started else { return Ok(()) };
        camera.complains("no sensor", &["libcamera finds no camera (see the ribbon cable"]).await?;
        let doctor = camera.doctor().await?;
        ensure!(doctor.contains("BAD  camera: libcamera finds no camera"), "{doctor}");
        camera.has_not_ended("no sensor").await?;
        camera.stop().await
    })
    .await
}
