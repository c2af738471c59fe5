use nightjar_shared::ids::EventId;

use super::*;
use crate::store::schema;

mod properties;

fn payloads(connection: &Connection) -> Vec<String> {
    let messages = next_messages(connection, &[], MAX_MESSAGES).unwrap();
    messages.into_iter().map(|message| message.payload).collect()
}

#[test]
fn a_full_outbox_drops_its_oldest_event_and_keeps_the_acks() {
    let connection = schema::in_memory();
    connection
        .execute(
            "with recursive numbers (number) as
                 (select 2 union all select number + 1 from numbers where number < ?1)
             insert into outbox (kind, rank, payload, enqueued_at)
             select iif(number = 2, 'ack', 'event'), iif(number = 2, 9223372036854775807, number - 1),
                    number, 0
             from numbers",
            [MAX_MESSAGES],
        )
        .unwrap();
    let now = UnixMillis(0);
    enqueue_event(&connection, EventId::generate(), "last that fits", now).unwrap();
    enqueue_event(&connection, EventId::generate(), "newest", now).unwrap();

    let waiting = payloads(&connection);
    assert_eq!(waiting.len(), MAX_MESSAGES);
    assert_eq!(waiting[..3], ["2", "newest", "last that fits"]);
    assert_eq!(waiting.last().unwrap(), "4", "the oldest event, 3, made room; the ack, 2, stayed");
}

#[test]
fn the_newest_event_goes_before_a_backlog_and_its_beginning_before_its_end() {
    let connection = schema::in_memory();
    let now = UnixMillis(0);
    let [long, short, last] = [(); 3].map(|()| EventId::generate());
    enqueue_event(&connection, long, "long began", now).unwrap();
    enqueue_event(&connection, short, "short began", now).unwrap();
    enqueue_event(&connection, short, "short ended", now).unwrap();
    enqueue_ack(&connection, "first ack", now).unwrap();
    enqueue_event(&connection, long, "long ended", now).unwrap();
    enqueue_ack(&connection, "second ack", now).unwrap();
    enqueue_event(&connection, last, "last began", now).unwrap();
    assert_eq!(
        payloads(&connection),
        [
            "first ack",
            "second ack",
            "last began",
            "long began",
            "long ended",
            "short began",
            "short ended"
        ]
    );
}
