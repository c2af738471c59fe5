//! Faults that are planted to see that they are found: the database of one side does not do what the
//! program tells it to.

use crate::camera::Camera;
use nightjar_agent::store::INDEX_FILE;
use rusqlite::Connection;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A camera forgets at once which commands it has seen.
    ForgottenCommand,
    /// A camera's acknowledgements get lost on its disk.
    LostAck,
    /// The relay does not end what nobody answered.
    EndlessCommand,
    /// A camera's disk loses every third message of events.
    LostEvent,
    /// The relay writes each event down twice.
    DoubledEvent,
    /// The relay puts events into somebody else's site.
    ForeignEvent,
    /// The relay never writes down that a camera is gone.
    SilentLoss,
    /// The store loses an object that the relay has seen.
    LostPart,
    /// The relay writes every segment of a clip that is ready down twice.
    DoubledPart,
    /// The relay never writes down that a live session is over.
    EndlessSession,
}

impl Fault {
    pub const ALL: [Self; 10] = [
        Self::ForgottenCommand,
        Self::LostAck,
        Self::EndlessCommand,
        Self::LostEvent,
        Self::DoubledEvent,
        Self::ForeignEvent,
        Self::SilentLoss,
        Self::LostPart,
        Self::DoubledPart,
        Self::EndlessSession,
    ];

    fn in_camera(self) -> Option<&'static str> {
        match self {
            Self::ForgottenCommand => Some(
                "create trigger if not exists planted after update on commands
                 when new.ack is not null begin
                     delete from commands where command_id = new.command_id;
                 end",
            ),
            Self::LostAck => Some(
                "create trigger if not exists planted after insert on outbox
                 when new.kind = 'ack' begin
                     delete from outbox where message_id = new.message_id;
                 end",
            ),
            Self::LostEvent => Some(
                "create trigger if not exists planted after insert on outbox
                 when new.kind = 'event' and new.message_id % 3 = 0 begin
                     delete from outbox where message_id = new.message_id;
                 end",
            ),
            _ => None,
        }
    }

    fn in_relay(self) -> Option<&'static str> {
        match self {
            Self::EndlessCommand => Some(
                "create trigger planted before update on commands
                 when new.state = 'expired' begin select raise(ignore); end",
            ),
            Self::DoubledEvent => Some(
                "create trigger planted after insert on events begin
                     insert into events (event_id, camera_id, site_id, kind, state, started_at,
                                         clock, boot_id, uptime_ms, boxes, zones)
                     values (substr(new.event_id, 1, 35) ||
                                 case substr(new.event_id, 36) when 'f' then 'e' else 'f' end,
                             new.camera_id, new.site_id,
                             new.kind, new.state, new.started_at, new.clock, new.boot_id,
                             new.uptime_ms, new.boxes, new.zones) on conflict do nothing;
                 end",
            ),
            Self::ForeignEvent => Some(
                "create trigger planted after insert on events begin
                     update events set site_id =
                         (select site_id from sites where site_id <> new.site_id limit 1)
                     where event_id = new.event_id;
                 end",
            ),
            Self::SilentLoss => Some(
                "create trigger planted before update on cameras
                 when old.online = 1 and new.online = 0 begin select raise(ignore); end",
            ),
            Self::EndlessSession => Some(
                "create trigger planted before update on live_sessions
                 when new.ended_at is not null begin select raise(ignore); end",
            ),
            Self::DoubledPart => Some(
                "create trigger planted after update on clips when new.state = 'ready' begin
                     insert into clip_parts (clip_id, part_index, kind, length, sha256,
                                             content_type, object_key, stored)
                     select clip_id, part_index + 1000, kind, length, sha256, content_type,
                            object_key, stored from clip_parts
                     where clip_id = new.clip_id and kind = 'segment' and part_index < 1000
                     on conflict do nothing;
                 end",
            ),
            _ => None,
        }
    }

    /// Plants the fault in a camera's index, which exists.
    pub(crate) fn plant_in_camera(self, camera: &Camera) {
        if let Some(sql) = self.in_camera() {
            let index = Connection::open(camera.directory.join(INDEX_FILE)).unwrap();
            index.execute_batch(sql).unwrap();
        }
    }

    /// Plants the fault in the relay's database, before the relay first starts.
    pub(crate) fn plant_in_relay(self, data_dir: &std::path::Path) {
        if let Some(sql) = self.in_relay() {
            let database = Connection::open(data_dir.join("relay.db")).unwrap();
            database.execute_batch(sql).unwrap();
        }
    }
}
