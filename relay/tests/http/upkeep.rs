//! What the relay does by itself goes on, whatever one part of it has to do.

use std::time::Duration;

use nightjar_relay::engines::db::Executor as _;

use crate::{
    clips::upload,
    device::health,
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
};

/// Objects that wait for their deletion, beside those that are deleted once more later.
async fn waiting(relay: &TestRelay) -> i64 {
    let now = relay.app().now();
    let count = "select count(*) as count from object_deletions where due_at <= $1";
    relay.app().db.query(count, vec![now.into()]).await.unwrap()[0].get("count").unwrap()
}

#[tokio::test]
async fn a_removed_cameras_many_objects_hold_nobody_up() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = upload(&camera, None).await;
        camera.beat(relay, health()).await;
        let backlog = "insert into object_deletions (object_key, due_at, last_due_at)
             with recursive numbers (number) as
                 (select 1 union all select number + 1 from numbers where number < 50000)
             select 'removed/clip/' || number || '.mp4', 1, 1 from numbers";
        relay.app().db.execute(backlog, Vec::new()).await.unwrap();

        alice.delete(&format!("clips/{clip_id}")).await.body(204);
        let left = waiting(relay).await;
        assert!(left > 25_000, "somebody's request deleted what others had: {left} are left");
        camera.vanish(relay).await;
        relay.pass(Duration::from_secs(31));
        let path = format!("cameras/{}", camera.id());
        let status = async || alice.get(&path).await.body(200)["status"].clone();
        eventually(status, |status| status == "offline").await;
        let later = waiting(relay).await;
        assert!((1..left).contains(&later), "{left} were left, and now {later}");
    })
    .await;
}

#[tokio::test]
async fn objects_that_are_due_are_deleted_without_a_pause_until_none_is_left() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let clip_id = upload(&relay.camera_of(&alice).await, None).await;
        for number in 0..350_i64 {
            // One in a hundred is no key at all, and stops none of the others.
            let odd = if number % 100 == 0 { "//" } else { "/" };
            let key = format!("removed/clip{odd}{number}.mp4");
            let insert = "insert into object_deletions (object_key, due_at, last_due_at)
                 values ($1, 1, 1)";
            relay.app().db.execute(insert, vec![key.into()]).await.unwrap();
        }
        alice.delete(&format!("clips/{clip_id}")).await.body(204);
        eventually(async || waiting(relay).await, |waiting| *waiting == 0).await;
    })
    .await;
}
