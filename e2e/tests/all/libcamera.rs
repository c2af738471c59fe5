//! Cameras behind libcamera: its `virtual` camera, which gives a street scene, in a guest that runs
//! Debian 13 and its kernel.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    guest::{Guest, Machine, System},
    programs,
    stack::Scenario,
};

/// Small and slow: the guest's processor is emulated.
const SIZE: &str = "640:480";
const PICTURES: &str = "60";

/// Where Debian's libcamera looks for the cameras that it is to pretend.
const CAMERAS_FILE: &str = "/usr/share/libcamera/pipeline/virtual/virtual.yaml";

/// A camera that shows the pictures of a folder, over and over.
fn cameras(pictures: &Path) -> String {
    format!(
        "\"street\":\n  supported_formats:\n  - width: 640\n    height: 480\n    frame_rates:\n    - 5\n\
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

/// Boots Debian 13 with a street before its camera.
async fn at_the_street(directory: &Path) -> Result<Option<Guest>> {
    let pictures = directory.join("pictures");
    draw(&pictures)?;
    fs::write(directory.join("virtual.yaml"), cameras(&pictures))?;
    let machine = Machine {
        device: Some(""),
        modules: vec!["videodev".into()],
        system: Some(System::debian13()?),
        ..Machine::default()
    };
    let Some(mut guest) = Guest::boot(directory, &machine)? else { return Ok(None) };
    let here = directory.display();
    guest
        .run(&format!("cp {here}/virtual.yaml {CAMERAS_FILE} && ls /dev/dma_heap /dev/udmabuf"))
        .await?;
    Ok(Some(guest))
}

#[tokio::test]
#[ignore = "needs a root of Debian 13: make test-debian13"]
async fn libcamera_shows_the_street_to_gstreamer() -> Result<()> {
    Scenario::run("libcamera", |directory| async move {
        let Some(mut guest) = at_the_street(&directory).await? else { return Ok(()) };
        let listed = guest.run("cam --list 2>&1").await?;
        ensure!(listed.contains("street") || listed.contains("Street"), "no camera: {listed}");
        let seen = directory.join("seen-%03d.jpg");
        guest
            .run(&format!(
                "gst-launch-1.0 -q libcamerasrc ! video/x-raw,format=NV12,width=640,height=480 ! \
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
