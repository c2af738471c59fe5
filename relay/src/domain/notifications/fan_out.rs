//! From what happened to who is told: recipients are computed from who belongs to its place now, and each
//! from their own wishes.

use std::time::Duration;

use nightjar_shared::{
    ids::{AccountId, ClipId, NotificationId, SiteId},
    notification::{Channel, Form, Kind},
    role::Role,
};
use serde_json::Value;

use super::{
    addresses, details,
    happening::is_of_account,
    inbox,
    policy::{self, Decision, Occasion},
};
use crate::{
    app::App,
    domain::{access, deliveries},
    engines::db::{
        Transaction, accounts, cameras,
        deliveries::{self as outgoing, NewDelivery},
        happenings::{self, HappeningRow},
        notification_rules as rules,
        notifications::{self, NotificationRow, Place},
        sites,
    },
    error::Result,
};

/// What could not be told waits so long, while others are told.
const RETRY: Duration = Duration::from_secs(30);
/// Lines of one person's list; older ones go for newer ones.
pub(super) const LIST_MAX: u32 = 500;
/// Gathered news that are looked at in one round.
const DIGESTS_PER_ROUND: u32 = 100;

/// Tells all that is due.
pub async fn fan_out(app: &App) -> Result<()> {
    while one(app).await? {}
    digests(app).await
}

/// Tells what is due next. Says whether there was anything.
async fn one(app: &App) -> Result<bool> {
    let now = app.now();
    let transaction = app.db.begin().await?;
    let taken = happenings::take(&transaction, now, now.plus(deliveries::AHEAD_MAX)).await?;
    let Some(row) = taken else {
        transaction.commit().await?;
        return Ok(false);
    };
    let key = row.happening_key.clone();
    match tell_all(app, &transaction, row).await {
        Ok(told) => {
            transaction.commit().await?;
            announce(app, &told).await;
        }
        Err(error) => {
            // It is taken back with the transaction, and waits behind what can be told.
            drop(transaction);
            tracing::warn!(%error, "something cannot be told; it is tried again");
            happenings::postpone(&app.db, &key, now.plus(RETRY)).await?;
        }
    }
    Ok(true)
}

/// Wakes who sends, and tells open apps.
async fn announce(app: &App, told: &[Told]) {
    for channel in Channel::ALL {
        if told.iter().any(|told| told.decision.channels.contains(channel)) {
            app.due.of(*channel).notify_one();
        }
    }
    for Told { row, decision } in told {
        if decision.channels.contains(&Channel::App) {
            inbox::tell(app, row.account_id, row.notification_id).await;
        }
    }
}

/// What one person is told, and how.
struct Told {
    row: NotificationRow,
    decision: Decision,
}

async fn tell_all(app: &App, transaction: &Transaction, row: HappeningRow) -> Result<Vec<Told>> {
    let now = app.now();
    if let (Kind::CameraOffline, Some(camera_id)) = (row.kind, row.camera_id)
        && !notifications::note_offline(transaction, camera_id, now).await?
    {
        return Ok(Vec::new());
    }
    let row = with_names(transaction, row).await?;
    let mut all = Vec::new();
    for (account_id, role) in recipients(app, transaction, &row).await? {
        if let Some(told) = tell_one(app, transaction, &row, (account_id, role)).await? {
            all.push(told);
        }
    }
    Ok(all)
}

/// Adds the names that its place has now, so that the list says later what it was called then. A camera that
/// has left the site is called as its new owner likes, which is none of the old one's business.
async fn with_names(transaction: &Transaction, mut row: HappeningRow) -> Result<HappeningRow> {
    let Value::Object(mut facts) = row.details else {
        row.details = Value::Object(serde_json::Map::new());
        return Ok(row);
    };
    if let Some(site_id) = row.site_id
        && let Some(site) = sites::facts(transaction, site_id).await?
    {
        facts.insert(details::SITE.to_owned(), site.name.into());
        if let Some(zone) = site.time_zone {
            facts.insert(details::TIME_ZONE.to_owned(), zone.into());
        }
    }
    if let Some(camera_id) = row.camera_id
        && let Some(camera) = cameras::by_id(transaction, camera_id).await?
        && Some(camera.site_id) == row.site_id
    {
        facts.insert(details::CAMERA.to_owned(), camera.name.into());
    }
    if let (Kind::Watched, Some(account_id)) = (row.kind, row.account_id)
        && let Some(account) = accounts::by_id(transaction, account_id).await?
    {
        facts.insert(details::PERSON.to_owned(), account.name.into());
    }
    row.details = Value::Object(facts);
    Ok(row)
}

/// Finds who may be told now, and what they are at its place.
async fn recipients(
    app: &App,
    transaction: &Transaction,
    row: &HappeningRow,
) -> Result<Vec<(AccountId, Option<Role>)>> {
    if is_of_account(row) {
        return Ok(row.account_id.map(|account_id| (account_id, None)).into_iter().collect());
    }
    let Some(site_id) = row.site_id else { return Ok(Vec::new()) };
    let members = members_of(app, transaction, row, site_id).await?;
    let may = |(account_id, role): &(AccountId, Role)| {
        // Who did it knows.
        access::allows(*role, policy::needs(row.kind)) && row.account_id != Some(*account_id)
    };
    Ok(members.into_iter().filter(may).map(|(account_id, role)| (account_id, Some(role))).collect())
}

async fn members_of(
    app: &App,
    transaction: &Transaction,
    row: &HappeningRow,
    site_id: SiteId,
) -> Result<Vec<(AccountId, Role)>> {
    let now = app.now();
    Ok(match row.camera_id {
        Some(camera_id) => notifications::at_camera(transaction, site_id, camera_id, now).await?,
        None => notifications::at_site(transaction, site_id, now).await?,
    })
}

/// Tells one person, or counts it to what they were told a moment ago.
async fn tell_one(
    app: &App,
    transaction: &Transaction,
    row: &HappeningRow,
    (account_id, role): (AccountId, Option<Role>),
) -> Result<Option<Told>> {
    let now = app.now();
    let wishes = rules::of_kind(transaction, account_id, row.kind).await?;
    let occasion = Occasion {
        kind: row.kind,
        site_id: row.site_id,
        camera_id: row.camera_id,
        role,
        time_zone: details::text(&row.details, details::TIME_ZONE),
        happened_at: row.happened_at,
    };
    let mut decision = policy::decide(&wishes, occasion, now);
    if decision.is_silent() {
        return Ok(None);
    }
    let place = Place { kind: row.kind, site_id: row.site_id, camera_id: row.camera_id };
    let times = (now, now.plus(deliveries::AHEAD_MAX));
    if decision.cool_down.is_some()
        && let Some(more) =
            notifications::gather(transaction, account_id, place, row.count, times).await?
    {
        return Ok(Some(Told { row: more, decision: decision.quietly() }));
    }
    if is_muted(app, transaction, account_id, place).await? {
        decision = decision.quietly();
    }
    let new = NotificationRow {
        notification_id: NotificationId::generate(),
        account_id,
        kind: row.kind,
        site_id: row.site_id,
        camera_id: row.camera_id,
        event_id: row.event_id,
        needs: policy::needs(row.kind),
        details: row.details.clone(),
        happened_at: row.happened_at,
        created_at: now,
        more: row.count.saturating_sub(1),
        more_told: 0,
        gathers_until: decision.cool_down.map(|cool_down| now.plus(cool_down)),
        is_listed: decision.channels.contains(&Channel::App),
        read_at: None,
        muted_by: 0,
    };
    notifications::insert(transaction, &new).await?;
    notifications::delete_beyond(transaction, account_id, LIST_MAX).await?;
    queue(app, transaction, &new, (Form::News, 0), &decision.channels).await?;
    Ok(Some(Told { row: new, decision }))
}

async fn is_muted(
    app: &App,
    transaction: &Transaction,
    account_id: AccountId,
    place: Place,
) -> Result<bool> {
    let now = app.now();
    let Some(camera_id) = place.camera_id else { return Ok(false) };
    let subject = (camera_id, place.kind);
    let times = (now, now.plus(deliveries::AHEAD_MAX));
    Ok(rules::is_muted(transaction, account_id, subject, times).await?)
}

/// Queues one telling to every address that its recipient has by these channels.
async fn queue(
    app: &App,
    transaction: &Transaction,
    row: &NotificationRow,
    (form, more): (Form, u64),
    channels: &[Channel],
) -> Result<()> {
    let now = app.now();
    let place = Place { kind: row.kind, site_id: row.site_id, camera_id: row.camera_id };
    let recipient = (row.account_id, place);
    for channel in channels.iter().copied().filter(|channel| *channel != Channel::App) {
        for address in addresses::of_account(app, transaction, recipient, channel).await? {
            let wait = match form {
                Form::News => policy::wait(row.kind, channel),
                Form::Digest | Form::Picture => Duration::ZERO,
            };
            let new = NewDelivery {
                notification_id: row.notification_id,
                account_id: row.account_id,
                channel,
                address,
                form,
                more,
                priority: policy::priority(row.kind),
                due_at: now.plus(wait),
                expires_at: now.plus(policy::lifetime(row.kind, channel)),
            };
            deliveries::queue(app, transaction, new).await?;
        }
    }
    Ok(())
}

/// Tells how often what people were told of happened again, once for each while; and lets the next be news
/// where it did not.
async fn digests(app: &App) -> Result<()> {
    let now = app.now();
    let times = (now, now.plus(deliveries::AHEAD_MAX));
    for row in notifications::gathered(&app.db, times, DIGESTS_PER_ROUND).await? {
        let notification_id = row.notification_id;
        if let Err(error) = digest(app, row).await {
            // Others' do not wait for it; the next round tries again.
            tracing::warn!(notification = %notification_id, %error, "a digest cannot be told");
        }
    }
    Ok(())
}

async fn digest(app: &App, row: NotificationRow) -> Result<()> {
    let now = app.now();
    let transaction = app.db.begin().await?;
    let untold = row.more.saturating_sub(row.more_told);
    if untold == 0 {
        notifications::settle(&transaction, &row, None).await?;
        return Ok(transaction.commit().await?);
    }
    let role = match row.site_id {
        Some(site_id) => {
            let account_id = row.account_id;
            notifications::standing(&transaction, account_id, site_id, row.camera_id, now)
                .await?
                .map(|standing| standing.role)
        }
        None => None,
    };
    let wishes = rules::of_kind(&transaction, row.account_id, row.kind).await?;
    let occasion = Occasion {
        kind: row.kind,
        site_id: row.site_id,
        camera_id: row.camera_id,
        role,
        time_zone: details::text(&row.details, details::TIME_ZONE),
        happened_at: now,
    };
    let mut decision = policy::decide(&wishes, occasion, now);
    let place = Place { kind: row.kind, site_id: row.site_id, camera_id: row.camera_id };
    if is_muted(app, &transaction, row.account_id, place).await? {
        decision = decision.quietly();
    }
    let until = decision.cool_down.map(|cool_down| now.plus(cool_down));
    // Whoever comes second, or while one more is counted, comes again.
    if !notifications::settle(&transaction, &row, until).await? {
        return Ok(());
    }
    queue(app, &transaction, &row, (Form::Digest, untold), &decision.channels).await?;
    transaction.commit().await?;
    announce(app, &[Told { row, decision }]).await;
    Ok(())
}

/// Tells that a clip has its picture, where people were told of its event: mails that waited for it leave, and browsers
/// show it in the place of what they show.
pub async fn pictured(app: &App, clip_id: ClipId) -> Result<()> {
    let now = app.now();
    let transaction = app.db.begin().await?;
    let rows = notifications::picture(&transaction, clip_id, now).await?;
    for row in &rows {
        outgoing::hasten(&transaction, row.notification_id, now).await?;
        let notification_id = row.notification_id;
        for address in outgoing::sent(&transaction, notification_id, Channel::WebPush).await? {
            let new = NewDelivery {
                notification_id: row.notification_id,
                account_id: row.account_id,
                channel: Channel::WebPush,
                address,
                form: Form::Picture,
                more: 0,
                priority: policy::priority(row.kind),
                due_at: now,
                expires_at: now.plus(policy::lifetime(row.kind, Channel::WebPush)),
            };
            deliveries::queue(app, &transaction, new).await?;
        }
    }
    transaction.commit().await?;
    if !rows.is_empty() {
        app.due.all();
    }
    Ok(())
}
