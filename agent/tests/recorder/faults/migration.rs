//! An index of an older agent is brought forward: whole or not at all, wherever the power goes.

use std::path::Path;

use nightjar_agent::{
    clock::Clock,
    store::{ClipState, INDEX_FILE, Store},
};
use nightjar_core::seeded::Seeded;
use rusqlite::Connection;

use super::{
    forgetful::{Fault, Outcome},
    fresh_disk,
    mount::{lock, mount},
};

const FIRST_SCHEMA: &str = include_str!("../../../src/store/migrations/0001_initial.sql");
const CLIPS: usize = 40;

/// An index as the first agents wrote it, with clips and parts of which one is uploaded.
fn leave_old_index(path: &Path) {
    let mut connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.pragma_update(None, "synchronous", "full").unwrap();
    let transaction = connection.transaction().unwrap();
    transaction.execute_batch(FIRST_SCHEMA).unwrap();
    transaction.pragma_update(None, "user_version", 1).unwrap();
    for number in 0..CLIPS {
        let clip_id = nightjar_shared::ids::ClipId::generate().to_string();
        transaction
            .execute(
                "insert into clips (clip_id, kind, state, started_at, clock, boot_id,
                                    started_uptime_ms, ended_at, duration_ms)
                 values (?1, 'motion', 'closed', ?2, 'synced',
                         'a7e13f07-da70-4e90-bbe8-4b5d14a7c6ad', 5, ?2, 1000)",
                (&clip_id, 1_800_000_000_000_i64 + i64::try_from(number).unwrap()),
            )
            .unwrap();
        transaction
            .execute(
                "insert into clip_parts (clip_id, part_index, kind, path, content_type, length)
                 values (?1, 0, 'file', ?1 || '.mp4', 'video/mp4', 700)",
                [&clip_id],
            )
            .unwrap();
        transaction
            .execute("insert into uploads (clip_id, state) values (?1, 'done')", [&clip_id])
            .unwrap();
    }
    leave_messages(&transaction);
    transaction.commit().unwrap();
}

/// Two events, the older of which ended last, and an ack between them.
fn leave_messages(transaction: &Connection) {
    let messages = [
        ("event", r#"{"event_id": "older", "state": "started"}"#),
        ("event", r#"{"event_id": "newer", "state": "started"}"#),
        ("ack", "{}"),
        ("event", r#"{"event_id": "older", "state": "ended"}"#),
    ];
    for (kind, payload) in messages {
        let sql = "insert into outbox (kind, payload, enqueued_at) values (?1, ?2, 0)";
        transaction.execute(sql, [kind, payload]).unwrap();
    }
}

async fn assert_whole(store: &Store, context: &str) {
    let clips = store.clips().await.unwrap();
    assert_eq!(clips.len(), CLIPS, "{context}");
    assert!(clips.iter().all(|clip| clip.state == ClipState::Closed), "{context}");
    assert!(clips.iter().all(|clip| clip.parts.len() == 1), "{context}: parts went with the table");
    let stored = store.stored_clips().await.unwrap();
    assert!(stored.iter().all(|clip| clip.bytes == 700 && clip.settled), "{context}");
    let messages = store.next_messages(&[], 10).await.unwrap();
    let words = ["{}", "older", "older", "newer"];
    assert_eq!(messages.len(), words.len(), "{context}");
    for (message, word) in messages.iter().zip(words) {
        assert!(message.payload.contains(word), "{context}: {messages:?}");
    }
}

#[tokio::test]
async fn power_cuts_at_every_step_leave_an_older_index_whole() {
    let mut random = Seeded::new(11);
    let mut cuts = 0;
    for at in 1.. {
        let directory = tempfile::tempdir().unwrap();
        let Some((disk, mounted)) = fresh_disk(directory.path(), Clock::default()) else { return };
        let index = mounted.path.join(INDEX_FILE);
        leave_old_index(&index);
        let fault = Fault { operation: None, at, outcome: Outcome::PowerCut };
        lock(&disk).plan(Some(fault));
        let opened = Store::open(&index);
        let struck = lock(&disk).struck_at.is_some();
        drop(opened);
        drop(mounted);

        let everything = random.below(3);
        lock(&disk).reboot(|| everything == 0 || random.below(2) == 0);
        let mounted = mount(&disk, directory.path()).unwrap();
        let store = Store::open(&mounted.path.join(INDEX_FILE)).unwrap();
        assert_whole(&store, &format!("power cut at operation {at}")).await;
        drop(store);
        if !struck {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 10, "only {cuts} steps");
}
