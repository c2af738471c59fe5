//! Messages on their way to one address each.

use nightjar_shared::{
    ids::{AccountId, DeliveryId, NotificationId},
    notification::{Channel, DeliveryState, Form},
    time::UnixMillis,
};

use super::{DbError, Executor, from_row};

#[derive(Debug, Clone)]
pub struct NewDelivery {
    pub notification_id: NotificationId,
    pub account_id: AccountId,
    pub channel: Channel,
    /// Which of the account's addresses; empty for its mail.
    pub address: String,
    pub form: Form,
    pub more: u64,
    pub priority: u32,
    pub due_at: UnixMillis,
    pub expires_at: UnixMillis,
}

/// A delivery whose turn it is.
#[derive(Debug, Clone)]
pub struct DueDelivery {
    pub delivery_id: DeliveryId,
    pub notification_id: NotificationId,
    pub account_id: AccountId,
    pub channel: Channel,
    pub address: String,
    pub form: Form,
    pub more: u64,
    /// With the one that begins now.
    pub attempts: u32,
    pub queued_at: UnixMillis,
    pub expires_at: UnixMillis,
}

from_row!(DueDelivery {
    delivery_id,
    notification_id,
    account_id,
    channel,
    address,
    form,
    more,
    attempts,
    queued_at,
    expires_at
});

pub async fn insert(db: &impl Executor, new: NewDelivery, now: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "insert into deliveries (delivery_id, notification_id, account_id, channel, address, form,
             more, priority, state, attempts, queued_at, due_at, claimed_until, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, 0, $12)",
        vec![
            DeliveryId::generate().into(),
            new.notification_id.into(),
            new.account_id.into(),
            new.channel.into(),
            new.address.into(),
            new.form.into(),
            new.more.into(),
            new.priority.into(),
            DeliveryState::Waiting.into(),
            now.into(),
            new.due_at.into(),
            new.expires_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Counts what waits for one address of an account.
pub async fn count_waiting(
    db: &impl Executor,
    account_id: AccountId,
    channel: Channel,
    address: &str,
) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from deliveries
             where channel = $2 and account_id = $1 and address = $3 and state = 'waiting'",
            vec![account_id.into(), channel.into(), address.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Times by which deliveries are claimed.
#[derive(Debug, Clone, Copy)]
pub struct ClaimTimes {
    pub now: UnixMillis,
    /// Should whoever claims end before it has sent, others do from then on.
    pub until: UnixMillis,
    /// What is due, or claimed, until after this was written by a clock that has been set back since.
    pub latest: UnixMillis,
}

/// Claims what is due by a channel: of each address one, and none of an address that somebody is at; of an account
/// so many at a time. So an address that does not answer holds up no other, and nobody's addresses those of others.
/// Whoever comes second finds a row claimed, and gets nothing.
pub async fn claim(
    db: &impl Executor,
    channel: Channel,
    (count, of_account): (u32, u32),
    times: ClaimTimes,
) -> Result<Vec<DueDelivery>, DbError> {
    db.all(
        "update deliveries set claimed_until = $4, attempts = attempts + 1
         where state = 'waiting' and (claimed_until <= $3 or claimed_until > $5)
             and delivery_id in (select delivery_id from
                 (select delivery_id, priority, due_at, busy, row_number() over (
                      partition by account_id order by priority, due_at, delivery_id
                  ) as account_turn
                  from (select d.delivery_id, d.account_id, d.priority, d.due_at, row_number() over (
                      partition by d.account_id, d.address
                      order by d.priority, d.due_at, d.delivery_id
                  ) as turn,
                  (select count(*) from deliveries b
                      where b.channel = $1 and b.account_id = d.account_id and b.state = 'waiting'
                          and b.claimed_until > $3 and b.claimed_until <= $5) as busy
                  from deliveries d
                  where d.channel = $1 and d.state = 'waiting' and (d.due_at <= $3 or d.due_at > $5)
                      and not exists (select 1 from deliveries c
                          where c.channel = $1 and c.account_id = d.account_id
                              and c.address = d.address and c.state = 'waiting'
                              and c.claimed_until > $3 and c.claimed_until <= $5)) as due
                 where turn = 1) as fair
                 where account_turn + busy <= $6 order by priority, due_at, delivery_id limit $2)
         returning delivery_id, notification_id, account_id, channel, address, form, more, attempts,
             queued_at, expires_at",
        vec![
            channel.into(),
            count.into(),
            times.now.into(),
            times.until.into(),
            times.latest.into(),
            of_account.into(),
        ],
    )
    .await
}

/// Lets a claimed delivery wait for its next attempt.
pub async fn postpone(
    db: &impl Executor,
    delivery_id: DeliveryId,
    outcome: &str,
    due_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update deliveries set due_at = $2, claimed_until = 0, outcome = $3
         where delivery_id = $1 and state = 'waiting'",
        vec![delivery_id.into(), due_at.into(), outcome.into()],
    )
    .await
    .map(drop)
}

/// Notes that a delivery was sent, or is given up: once, by whoever is first.
pub async fn conclude(
    db: &impl Executor,
    delivery_id: DeliveryId,
    state: DeliveryState,
    outcome: &str,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update deliveries set state = $2, outcome = $3, claimed_until = 0, ended_at = $4
         where delivery_id = $1 and state = 'waiting'",
        vec![delivery_id.into(), state.into(), outcome.into(), now.into()],
    )
    .await
    .map(drop)
}

pub async fn delete(db: &impl Executor, delivery_id: DeliveryId) -> Result<(), DbError> {
    db.execute("delete from deliveries where delivery_id = $1", vec![delivery_id.into()])
        .await
        .map(drop)
}

/// Forgets all that goes to an address that is no more.
pub async fn delete_to(
    db: &impl Executor,
    account_id: AccountId,
    channel: Channel,
    address: &str,
) -> Result<(), DbError> {
    db.execute(
        "delete from deliveries where account_id = $1 and channel = $2 and address = $3",
        vec![account_id.into(), channel.into(), address.into()],
    )
    .await
    .map(drop)
}

/// Lets what waits for its picture leave now.
pub async fn hasten(
    db: &impl Executor,
    notification_id: NotificationId,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update deliveries set due_at = $2
         where notification_id = $1 and state = 'waiting' and attempts = 0 and due_at > $2",
        vec![notification_id.into(), now.into()],
    )
    .await
    .map(drop)
}

/// Lists the addresses that were told of something by a channel.
pub async fn sent(
    db: &impl Executor,
    notification_id: NotificationId,
    channel: Channel,
) -> Result<Vec<String>, DbError> {
    let rows = db
        .query(
            "select distinct address from deliveries
             where notification_id = $1 and channel = $2 and state = 'sent'",
            vec![notification_id.into(), channel.into()],
        )
        .await?;
    Ok(rows.iter().filter_map(|row| row.get("address").ok()).collect())
}

/// Forgets what was sent, and what was given up, before some times.
pub async fn delete_ended(
    db: &impl Executor,
    sent_before: UnixMillis,
    failed_before: UnixMillis,
) -> Result<(), DbError> {
    for (state, before) in
        [(DeliveryState::Sent, sent_before), (DeliveryState::Failed, failed_before)]
    {
        db.execute(
            "delete from deliveries where state = $1 and ended_at < $2",
            vec![state.into(), before.into()],
        )
        .await?;
    }
    Ok(())
}

/// A delivery as who runs the relay sees it: nothing of what it says, nor of where it goes.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    pub delivery_id: DeliveryId,
    pub account_id: AccountId,
    pub channel: Channel,
    pub form: Form,
    pub state: DeliveryState,
    pub attempts: u32,
    pub outcome: Option<String>,
    pub queued_at: UnixMillis,
    pub due_at: UnixMillis,
    pub ended_at: Option<UnixMillis>,
}

from_row!(DeliveryRow {
    delivery_id,
    account_id,
    channel,
    form,
    state,
    attempts,
    outcome,
    queued_at,
    due_at,
    ended_at
});

/// Lists deliveries in a state, newest first.
pub async fn list(
    db: &impl Executor,
    state: DeliveryState,
    limit: u32,
) -> Result<Vec<DeliveryRow>, DbError> {
    db.all(
        "select delivery_id, account_id, channel, form, state, attempts, outcome, queued_at, due_at,
             ended_at
         from deliveries where state = $1 order by queued_at desc, delivery_id desc limit $2",
        vec![state.into(), limit.into()],
    )
    .await
}

/// Lets a delivery that was given up wait again. Says whether there was one that is still of use.
pub async fn retry(
    db: &impl Executor,
    delivery_id: &str,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update deliveries set state = 'waiting', attempts = 0, due_at = $2, claimed_until = 0,
                 ended_at = null
             where delivery_id = $1 and state = 'failed' and expires_at > $2",
            vec![delivery_id.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Forgets a delivery that has not left.
pub async fn drop_unsent(db: &impl Executor, delivery_id: &str) -> Result<(), DbError> {
    db.execute(
        "delete from deliveries where delivery_id = $1 and state <> 'sent'",
        vec![delivery_id.into()],
    )
    .await
    .map(drop)
}

/// Counts deliveries by channel and state.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryCount {
    pub channel: Channel,
    pub state: DeliveryState,
    pub count: u64,
}

from_row!(DeliveryCount { channel, state, count });

pub async fn counts(db: &impl Executor) -> Result<Vec<DeliveryCount>, DbError> {
    db.all(
        "select channel, state, count(*) as count from deliveries group by channel, state",
        vec![],
    )
    .await
}
