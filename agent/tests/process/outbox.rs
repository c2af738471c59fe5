//! What a camera tells first after days without its relay.

use nightjar_agent::{
    clock::{boot_id, unix_now},
    store::{INDEX_FILE, Store},
};
use nightjar_shared::{
    PROTOCOL_VERSION,
    event::{EventKind, EventMessage, EventState},
    ids::EventId,
    time::ClockState,
};

use crate::{
    pairing::pair_with_file,
    relay::{Relay, until},
    support::Home,
};

/// Enough that telling them takes far longer than asking for one.
const BACKLOG: usize = 500;

async fn leave_event(store: &Store) -> EventId {
    let event_id = EventId::generate();
    for state in [EventState::Started, EventState::Ended] {
        let message = EventMessage {
            protocol: PROTOCOL_VERSION,
            event_id,
            kind: EventKind::Motion,
            state,
            at: unix_now(),
            clock: ClockState::Synced,
            boot_id: boot_id().unwrap(),
            uptime_ms: 1,
            clip_id: None,
            boxes: Vec::new(),
            zones: Vec::new(),
            reason: None,
            tamper: None,
            peak_area: None,
            duration_ms: None,
        };
        store.enqueue_event(message).await.unwrap();
    }
    event_id
}

#[tokio::test]
async fn a_new_event_is_told_before_the_backlog_and_then_all_of_it_once() {
    let Some(relay) = Relay::start().await else { return };
    let home = Home::with_config(
        "name = \"test\"\n[source]\nkind = \"synthetic\"\nwidth = 320\nheight = 240\nfps = 10\n\
         quiet_s = 3600\n[recording]\nmin_free_percent = 0\n",
    );
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let store = Store::open(&home.data_dir().join(INDEX_FILE)).unwrap();
    let oldest = leave_event(&store).await;
    for _ in 0..BACKLOG {
        leave_event(&store).await;
    }
    let newest = leave_event(&store).await;

    let _agent = home.run();
    let event = until("the newest event", async || relay.event(newest).await).await;
    assert!(relay.event(oldest).await.is_none(), "the oldest was told before {event}");
    until("the whole backlog", async || {
        let event = relay.event(oldest).await?;
        (event["state"] == "ended").then_some(())
    })
    .await;
    until("the camera to know it", async || {
        store.next_messages(&[], 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(relay.events(&camera).await.len(), 200, "as many as are listed at once");
}
