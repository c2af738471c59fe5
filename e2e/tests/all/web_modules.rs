//! The web app's pure pieces, in the browser that runs them.
//!
//! A story is a function in JavaScript that gets the module's exports, and a check that throws.

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    browser::{Browser, Page},
    relay::{Place, Ports, Relay},
    stack::Scenario,
};

const CHECK: &str = include_str!("web_modules/check.js");

/// The app's modules, and what they must do.
const STORIES: [(&str, &str); 13] = [
    ("addresses.js", include_str!("web_modules/addresses.js")),
    ("backoff.js", include_str!("web_modules/backoff.js")),
    ("format.js", include_str!("web_modules/format.js")),
    ("refusals.js", include_str!("web_modules/refusals.js")),
    ("pairing/lens.js", include_str!("web_modules/lens.js")),
    ("parts/event_words.js", include_str!("web_modules/event_words.js")),
    ("parts/list.js", include_str!("web_modules/list.js")),
    ("realtime.js", include_str!("web_modules/realtime.js")),
    ("router.js", include_str!("web_modules/router.js")),
    ("settings/polygon.js", include_str!("web_modules/polygon.js")),
    ("settings/week.js", include_str!("web_modules/week.js")),
    ("truth.js", include_str!("web_modules/truth.js")),
    ("whep.js", include_str!("web_modules/whep.js")),
];

/// Runs a story with the exports of the module `name`.
async fn tell(page: &Page, name: &str, story: &str) -> Result<()> {
    let script = format!(
        "import(document.querySelector('script[type=module]').src.replace('main.js', '{name}'))\
         .then((module) => (\n{story}\n)(module, {CHECK})).then(() => 'told')"
    );
    let told: String = page.evaluate(&script).await.with_context(|| name.to_owned())?;
    ensure!(told == "told", "{name}: {told}");
    Ok(())
}

#[tokio::test]
async fn the_app_s_pure_pieces_decide_as_they_should() -> Result<()> {
    Scenario::run("web_modules", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&relay.url()).await?;
        for (name, story) in STORIES {
            tell(&page, name, story).await?;
        }
        let told = tell(&page, "router.js", "(_, check) => check('a wrong story', 1, 2)").await;
        ensure!(told.is_err(), "a story that went wrong was not noticed");
        Ok(())
    })
    .await
}
