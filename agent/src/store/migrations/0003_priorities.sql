-- What the relay is told first after days without it.

-- The event that a message is about; null for an ack.
alter table outbox add column event_id text;
-- Larger goes first; of one rank, the smaller message_id. An event has the message_id of its newest
-- message, so that the newest event goes before a backlog and its messages stay in their order. An
-- ack, which somebody waits for, goes before every event.
alter table outbox add column rank integer not null default 9223372036854775807;

update outbox set event_id = json_extract(payload, '$.event_id')
where kind = 'event' and json_valid(payload);

create index outbox_by_event on outbox (event_id) where event_id is not null;

update outbox set rank = coalesce(
    (select max(peer.message_id) from outbox as peer where peer.event_id = outbox.event_id),
    message_id)
where kind = 'event';

create index outbox_by_rank on outbox (rank desc, message_id);
