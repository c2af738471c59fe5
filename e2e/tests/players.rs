//! Players that others wrote watch a camera, unmodified.

use anyhow::{Result, ensure};
use nightjar_e2e::{
    agent::{Scene, Settings, Source},
    players::{Aiortc, Watching},
    stack::{Scenario, Stack},
};

#[tokio::test]
async fn aiortc_watches_by_whep_with_a_token() -> Result<()> {
    let Some(aiortc) = Aiortc::install()? else { return Ok(()) };
    Scenario::run("aiortc", |directory| async move {
        let scene = Scene { quiet_s: 3_600, ..Scene::default() };
        let stack = Stack::start(&directory, &Settings::new(Source::Synthetic(scene))).await?;
        let seen = aiortc.watch(&stack.owner, &stack.camera_id, 30, Watching::default())?;
        ensure!((seen.status, seen.deleted) == (201, 200), "{seen:?}");
        ensure!((seen.width, seen.height) == (640, 360), "{seen:?}");
        ensure!(seen.candidates() == ("host", "host"), "{seen:?}");
        Ok(())
    })
    .await
}
