//! The relay shows a camera that it knows the code that somebody typed there, before the camera trusts it
//! with that code.

use std::net::IpAddr;

use nightjar_shared::introduction::{self, IntroductionAnswer, IntroductionRequest};

use super::{guess::Guess, shown_authority};
use crate::{
    app::App,
    domain::secrets,
    engines::db::pairings,
    error::{Error, ProblemCode, Result},
};

/// Answers a camera that has a code. Whoever asks can check one guess of one code by the answer, so it
/// counts as one, and where no code begins like this the answer is of a code that nobody knows.
pub async fn introduce(
    app: &App,
    request: IntroductionRequest,
    address: IpAddr,
) -> Result<IntroductionAnswer> {
    Guess::take_of_one(app, app.address_key(address).as_deref())?;
    // Not every text is one that a database takes.
    let is_head = request.head.bytes().all(|letter| letter.is_ascii_uppercase());
    let head = if is_head { &request.head } else { "" };
    let known = pairings::code_by_head(&app.db, head, app.now()).await?;
    let code_hash = match known {
        Some(code_hash) => code_hash,
        None => secrets::hash(&secrets::token()?),
    };
    introduction::answer(&code_hash, &request.message, shown_authority(app).as_deref()).ok_or_else(
        || Error::invalid(ProblemCode::InvalidClaim, "The message is none of an introduction."),
    )
}
