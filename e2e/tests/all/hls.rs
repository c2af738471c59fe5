//! Clips on devices without Media Source: the playlist of presigned addresses, played by ffmpeg. One
//! that was cut off is played in `growing_clips`, where a camera is smashed.

use anyhow::{Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    footage, hls,
    stack::{EMAIL, PASSWORD, Scenario, Stack},
};

#[tokio::test]
async fn an_hls_player_plays_every_picture_of_a_clip_while_it_grows_and_afterwards() -> Result<()> {
    Scenario::run("hls", |directory| async move {
        let stack = Stack::start(&directory, &Settings::brief()).await?;
        let cookie = stack.owner.session_cookie(EMAIL, PASSWORD).await?;
        let clip_id = footage::begin(&stack).await?;
        footage::has_arrived(&stack.owner, &clip_id, 4_000).await?;

        let growing = hls::play(&stack.owner, &cookie, &clip_id);
        let ending = async {
            footage::has_arrived(&stack.owner, &clip_id, 12_000).await?;
            footage::end(&stack, &clip_id).await
        };
        let (growing, ready) = tokio::join!(growing, ending);
        let (growing, ready) = (growing?, ready?);
        let all = hls::pictures_of(&stack.owner, &clip_id, &directory).await?;
        let frames = footage::examine(&stack.owner, &clip_id, &directory).await?.frames;
        ensure!(all.len() == frames && frames > 100, "{} of {frames} decoded", all.len());
        ensure!(growing == all, "{} of {} pictures while it grew", growing.len(), all.len());

        let afterwards = hls::play(&stack.owner, &cookie, &clip_id).await?;
        ensure!(afterwards == all, "{} of {} pictures: {ready}", afterwards.len(), all.len());
        Ok(())
    })
    .await
}
