//! Cameras that belong to nobody yet and show a code, and the owners who take them by it.
//!
//! What such a camera says is a stranger's word: it is bounded in number and size, shown to nobody but
//! who types the code, and gone within minutes.

use std::{net::IpAddr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use nightjar_shared::{
    audit::Action,
    ids::{PairingId, SiteId},
    pairing::{
        AnnouncementAnswer, AnnouncementQuestion, AnnouncementRequest, AnnouncementStatus,
        JoinCode, announcement_proof,
    },
    range::Check,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access::{self, Caller, Right},
    audit::{Entry, record, tally},
    devices, secrets, text,
};
use crate::{
    app::App,
    engines::db::{
        announcements::{self, AnnouncementRow, NewAnnouncement},
        cameras,
        pairings::{self, NewPairing},
    },
    error::{Error, ProblemCode, Result},
};

/// How long a camera shows the same code.
const CODE_LIFETIME: Duration = Duration::from_mins(10);
/// How long a camera that was taken may need to hear of it and to claim its place.
const CLAIM_LIFETIME: Duration = Duration::from_hours(1);
const PICTURE_BYTES_MAX: usize = 16 * 1024;
/// A site's cameras come from one address; more than these are not mounted within ten minutes.
const PER_NETWORK_MAX: u32 = 16;
const ALL_MAX: u32 = 500;
/// A wrong code counts once more for each so many that it might hit.
const CODES_PER_WEIGHT: u32 = 50;
const EVERYBODY: &str = "";

/// The code that a camera shows.
#[derive(Deserialize, ToSchema)]
pub struct ShownCode {
    pub code: String,
}

impl Check for ShownCode {}

#[derive(Deserialize, ToSchema)]
pub struct Acceptance {
    pub code: String,
    /// What the camera is to be called; otherwise it says so itself.
    pub name: Option<String>,
}

impl Check for Acceptance {}

/// A camera that waits for its owner, as it describes itself.
#[derive(Clone, Serialize, ToSchema)]
pub struct WaitingCamera {
    pub name: String,
    pub model: String,
    pub agent_version: String,
    /// Ed25519, base64: the camera says it at its command line, too.
    pub public_key: String,
    /// A JPEG, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
}

/// The pairing that the camera is about to take.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AcceptedCamera {
    #[schema(value_type = String)]
    pub pairing_id: PairingId,
}

/// Keeps what a camera says of itself for as long as its code lasts.
pub async fn announce(
    app: &App,
    request: AnnouncementRequest,
    address: IpAddr,
) -> Result<AnnouncementAnswer> {
    let now = app.now();
    let network = app.address_key(address);
    app.limits.announcements.take_at(network.as_deref(), now)?;
    let key = devices::normalize_key(&request.public_key).ok_or_else(devices::invalid_proof)?;
    let picture = request.picture.as_deref().map(checked_picture).transpose()?;
    let proof = announcement_proof(&request.nonce, &request.public_key);
    devices::verify(app, &key, &request.nonce, &proof, &request.signature).await?;

    let (code, ticket) = (secrets::join_code()?, secrets::short_token()?);
    let expires_at = now.plus(CODE_LIFETIME);
    let new = NewAnnouncement {
        row: AnnouncementRow {
            public_key: key,
            ticket_hash: secrets::hash(&ticket),
            name: text::camera_name(&request.name),
            model: text::report(&request.model),
            agent_version: text::report(&request.agent_version),
            picture,
            expires_at,
        },
        network: network.unwrap_or_default(),
        code_hash: secrets::hash(code.letters()),
    };
    let transaction = app.db.begin().await?;
    let key = new.row.public_key.as_str();
    let of_network = announcements::count_of_network(&transaction, &new.network, key, now).await?;
    if !new.network.is_empty() && of_network >= PER_NETWORK_MAX {
        return Err(Error::rate_limited(CODE_LIFETIME.as_secs()));
    }
    if announcements::count(&transaction, now).await? >= ALL_MAX {
        return Err(Error::unavailable(
            ProblemCode::Busy,
            "Too many cameras show a code; try again in some minutes.",
        ));
    }
    announcements::replace(&transaction, new).await?;
    transaction.commit().await?;
    Ok(AnnouncementAnswer { code: code.to_string(), ticket, expires_at })
}

/// Returns the picture if it may be kept. Whether it can be drawn is for the browser that shows it.
fn checked_picture(picture: &str) -> Result<String> {
    let bytes = STANDARD.decode(picture).ok().filter(|bytes| bytes.starts_with(b"\xff\xd8\xff"));
    match bytes {
        Some(bytes) if bytes.len() <= PICTURE_BYTES_MAX => Ok(picture.to_owned()),
        Some(_) => Err(Error::too_large("The picture has more than 16,384 bytes.")),
        None => Err(Error::invalid(
            ProblemCode::UnsupportedContentType,
            "The picture is no JPEG in base64.",
        )),
    }
}

/// Tells a camera what became of its announcement.
pub async fn state(
    app: &App,
    question: AnnouncementQuestion,
    address: IpAddr,
) -> Result<AnnouncementStatus> {
    let now = app.now();
    let network = app.address_key(address);
    app.limits.announcement_questions.take_at(network.as_deref(), now)?;
    let state = announcements::state(&app.db, &secrets::hash(&question.ticket), now).await?;
    Ok(AnnouncementStatus { state })
}

/// Shows the camera that shows this code, to who may add it to the site.
pub async fn find(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    shown: ShownCode,
) -> Result<WaitingCamera> {
    access::site(app, caller, site_id, Right::Pair).await?;
    let guess = Guess::take(app, caller).await?;
    let found = announcements::by_code(&app.db, &code_hash(&shown.code), app.now()).await?;
    let Some(row) = found else { return Err(nothing_shows_it(app, caller, site_id).await) };
    guess.give_back(app);
    Ok(WaitingCamera {
        name: row.name,
        model: row.model,
        agent_version: row.agent_version,
        public_key: row.public_key,
        picture: row.picture,
        expires_at: row.expires_at,
    })
}

/// Adds the camera that shows this code to the site. It hears of that within seconds, and claims its
/// place by its key, as any camera does.
pub async fn accept(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    acceptance: Acceptance,
) -> Result<AcceptedCamera> {
    access::site(app, caller, site_id, Right::Pair).await?;
    let name = acceptance.name.as_deref().map(text::name).transpose()?;
    let guess = Guess::take(app, caller).await?;
    let now = app.now();
    let until = now.plus(CLAIM_LIFETIME);
    let transaction = app.db.begin().await?;
    let code_hash = code_hash(&acceptance.code);
    let found = announcements::accept(&transaction, &code_hash, now, until).await?;
    let Some(row) = found else {
        drop(transaction);
        return Err(nothing_shows_it(app, caller, site_id).await);
    };
    guess.give_back(app);
    let owner = cameras::by_key(&transaction, &row.public_key).await?;
    if owner.is_some_and(|(_, other)| other != site_id) {
        return Err(Error::conflict(
            ProblemCode::AlreadyPaired,
            "This camera belongs to another site; its owner must remove it there first.",
        ));
    }
    let pairing = NewPairing {
        pairing_id: PairingId::generate(),
        site_id,
        code_head: String::new(),
        code_hash,
        code_expires_at: now,
        secret_hash: row.ticket_hash,
        expires_at: until,
        created_by: Some(caller.account_id),
        name,
        prepared: false,
        key: Some(row.public_key),
    };
    let pairing_id = pairing.pairing_id;
    pairings::insert(&transaction, pairing, now).await?;
    let entry = Entry::new(Action::CameraAccepted, caller).site(site_id).subject(pairing_id);
    record(&transaction, now, entry).await?;
    transaction.commit().await?;
    Ok(AcceptedCamera { pairing_id })
}

/// Hashes what somebody typed; what is no code at all is a wrong one like any other.
fn code_hash(typed: &str) -> String {
    typed.parse().map_or_else(|_| String::new(), |code: JoinCode| secrets::hash(code.letters()))
}

/// Writes the wrong guess down, and refuses it.
async fn nothing_shows_it(app: &App, caller: Caller, site_id: SiteId) -> Error {
    let entry = Entry::new(Action::PairingGuessed, caller).site(site_id);
    if let Err(error) = tally(app, entry).await {
        return error;
    }
    Error::refused(
        404,
        ProblemCode::NotFoundOrExpired,
        "No camera shows this code: look again, it changes every ten minutes.",
    )
}

/// A code that somebody tries, counted before anything is looked at.
struct Guess {
    account: String,
    weight: u32,
}

impl Guess {
    async fn take(app: &App, caller: Caller) -> Result<Self> {
        let now = app.now();
        let account = caller.account_id.to_string();
        app.limits.taking_by_account.take(&account, now)?;
        let weight = 1 + announcements::count(&app.db, now).await? / CODES_PER_WEIGHT;
        app.limits.taking_by_code.take_many(EVERYBODY, weight, now).inspect_err(|_| {
            // It was not made.
            app.limits.taking_by_account.give_back(&account);
        })?;
        Ok(Self { account, weight })
    }

    /// Gives it back: it was not wrong.
    fn give_back(&self, app: &App) {
        app.limits.taking_by_account.give_back(&self.account);
        app.limits.taking_by_code.give_back_many(EVERYBODY, self.weight);
    }
}
