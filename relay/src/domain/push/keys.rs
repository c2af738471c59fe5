//! The keys by which browsers know the relay. One that is replaced goes on for the browsers that subscribed
//! by it, until they subscribe anew.

use nightjar_shared::time::UnixMillis;

use crate::{
    app::App,
    engines::{
        db::{
            Db,
            push::{self, KeyRow},
        },
        seal::Seal,
        web_push::{KeyPair, WebPushError},
    },
    error::{Error, ProblemCode, Result},
};

/// What a key is sealed for.
fn context(public_key: &str) -> String {
    format!("push key {public_key}")
}

/// Makes the first key, where there is none.
pub async fn prepare(app: &App) -> Result<()> {
    if push::current_key(&app.db).await?.is_none() {
        make(&app.db, &app.seal, app.now()).await?;
    }
    Ok(())
}

/// Makes a key by which browsers subscribe from now on. Of two relays that do so at once, the newer one's
/// counts, and both are good.
pub async fn make(db: &Db, seal: &Seal, now: UnixMillis) -> Result<KeyPair> {
    let pair = KeyPair::generate().map_err(anyhow::Error::from)?;
    let public_key = pair.public_key();
    let private = pair.to_pkcs8().map_err(anyhow::Error::from)?;
    let sealed = seal.seal(&context(&public_key), &private)?;
    push::insert_key(db, &KeyRow { public_key, sealed, created_at: now }).await?;
    tracing::info!("a key for Web Push is made");
    Ok(pair)
}

/// Returns the key that browsers subscribe by.
pub(super) async fn current(app: &App) -> Result<KeyPair> {
    match push::current_key(&app.db).await? {
        Some(row) => open(app, &row),
        None => make(&app.db, &app.seal, app.now()).await,
    }
}

/// Returns the name of a key that is the relay's.
pub(super) async fn known(app: &App, public_key: &str) -> Result<String> {
    match push::key(&app.db, public_key).await? {
        Some(row) => Ok(row.public_key),
        None => Err(Error::invalid(
            ProblemCode::InvalidSubscription,
            "It subscribed by a key that is not this relay's: subscribe anew.",
        )),
    }
}

/// Opens a key.
pub(super) fn open(app: &App, row: &KeyRow) -> Result<KeyPair> {
    let private = app.seal.open(&context(&row.public_key), &row.sealed)?;
    let pair = KeyPair::from_pkcs8(&private);
    Ok(pair.map_err(|error: WebPushError| anyhow::Error::from(error))?)
}
