//! Debian's Chromium without a window, driven over its `DevTools` protocol.

mod worker;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use chromiumoxide::{
    Browser as Chromium, Page as ChromiumPage,
    cdp::{
        browser_protocol::{
            browser::{SetDownloadBehaviorBehavior, SetDownloadBehaviorParams},
            emulation::{
                MediaFeature, SetDeviceMetricsOverrideParams, SetEmulatedMediaParams,
                SetTimezoneOverrideParams,
            },
            input::{DispatchMouseEventParams, DispatchMouseEventType, MouseButton},
            log::EventEntryAdded,
            page::{EventJavascriptDialogOpening, HandleJavaScriptDialogParams},
            web_authn::{
                AddCredentialParams, AddVirtualAuthenticatorParams, AuthenticatorId,
                AuthenticatorProtocol, AuthenticatorTransport, EnableParams, GetCredentialsParams,
                VirtualAuthenticatorOptions,
            },
        },
        js_protocol::runtime::EvaluateParams,
    },
    handler::{HandlerConfig, viewport::Viewport},
    layout::Point,
    page::ScreenshotParams,
};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::{process::Process, traffic::Traffic, wait};

const START_LIMIT: Duration = Duration::from_secs(30);
/// A clip plays for up to a minute inside one evaluation.
const EVALUATION_LIMIT: Duration = Duration::from_mins(2);

const LOAD_LIMIT: Duration = Duration::from_secs(30);
/// Whether the next page is itself, or the browser's own about a failure; null before either is loaded.
const LOADED: &str = "!window.isLeft && document.readyState === 'complete' ? \
                      location.protocol !== 'chrome-error:' : null";
const TAP_LIMIT: Duration = Duration::from_secs(10);

/// A phone held upright.
const WIDTH: u32 = 412;
const HEIGHT: u32 = 860;

/// Wider and higher than this is no phone.
const PHONE_BELOW: u32 = 500;

/// A browser with a profile of its own.
pub struct Browser {
    chromium: Chromium,
    // Dropped last: it kills the browser.
    process: Process,
    directory: PathBuf,
}

impl Browser {
    /// Starts one. Its profile, its log and its pictures lie below `directory`.
    pub async fn start(directory: &Path) -> Result<Self> {
        Self::start_with(directory, &[]).await
    }

    /// [`Self::start`] with further arguments.
    pub async fn start_with(directory: &Path, further: &[&str]) -> Result<Self> {
        let profile = directory.join("chromium");
        fs::create_dir_all(&profile).context("cannot make a browser profile")?;
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--mute-audio".to_owned(),
            "--autoplay-policy=no-user-gesture-required".to_owned(),
            "--remote-debugging-port=0".to_owned(),
            format!("--user-data-dir={}", profile.display()),
            "about:blank".to_owned(),
        ];
        arguments.extend(further.iter().map(|&argument| argument.to_owned()));
        let log = directory.join("chromium.log");
        let mut process = Process::start(Path::new("chromium"), arguments, &log)?;
        let address = wait::until("the browser listens", START_LIMIT, async || {
            process.check_running()?;
            Ok(devtools_address(&profile))
        })
        .await?;
        let viewport = Viewport {
            width: WIDTH,
            height: HEIGHT,
            device_scale_factor: Some(2.0),
            emulating_mobile: true,
            is_landscape: false,
            has_touch: true,
        };
        let config = HandlerConfig {
            viewport: Some(viewport),
            request_timeout: EVALUATION_LIMIT,
            ..HandlerConfig::default()
        };
        let (chromium, mut handler) = Chromium::connect_with_config(address, config)
            .await
            .context("cannot talk to the browser")?;
        // Ends with the browser, when its socket closes.
        TaskTracker::new().spawn(async move { while handler.next().await.is_some() {} });
        Ok(Self { chromium, process, directory: directory.to_owned() })
    }

    /// Opens a page and waits until it is loaded.
    pub async fn open(&self, url: &str) -> Result<Page> {
        let page = self.chromium.new_page("about:blank").await.context("cannot open a page")?;
        let console = Arc::default();
        collect_console(&page, Arc::clone(&console)).await?;
        let page = Page { inner: page, console, directory: self.directory.clone() };
        page.go(url).await?;
        Ok(page)
    }

    /// SIGKILL to the whole browser: its viewers vanish without a word.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// Chromium writes its port and its socket's path into its profile once it listens.
fn devtools_address(profile: &Path) -> Option<String> {
    let text = fs::read_to_string(profile.join("DevToolsActivePort")).ok()?;
    let (port, path) = text.trim().split_once('\n')?;
    Some(format!("ws://127.0.0.1:{port}{path}"))
}

/// Keeps what the browser itself has to say of a page: broken policies, failed requests.
async fn collect_console(page: &ChromiumPage, lines: Arc<Mutex<Vec<String>>>) -> Result<()> {
    page.enable_log().await?;
    let mut entries = page.event_listener::<EventEntryAdded>().await?;
    // Ends with the page.
    TaskTracker::new().spawn(async move {
        while let Some(entry) = entries.next().await {
            if let Ok(mut lines) = lines.lock() {
                lines.push(entry.entry.text.clone());
            }
        }
    });
    Ok(())
}

/// The selector of an element by the id that the app gives it for tests.
pub fn test_id(name: &str) -> String {
    format!("[data-testid=\"{name}\"]")
}

/// One page.
pub struct Page {
    inner: ChromiumPage,
    console: Arc<Mutex<Vec<String>>>,
    directory: PathBuf,
}

impl Page {
    /// Evaluates an expression; a promise is waited for.
    pub async fn evaluate<T: DeserializeOwned>(&self, expression: &str) -> Result<T> {
        let parameters = EvaluateParams::builder()
            .expression(expression)
            .await_promise(true)
            .return_by_value(true)
            .user_gesture(true)
            .build()
            .map_err(anyhow::Error::msg)?;
        let result = self.inner.evaluate_expression(parameters).await;
        let result = result.with_context(|| format!("in the browser: {expression}"))?;
        // `undefined` has no value at all.
        let value = result.value().cloned().unwrap_or_default();
        serde_json::from_value(value)
            .with_context(|| format!("not what was expected: {expression}"))
    }

    /// Waits until an element is there and shown.
    pub async fn shows(&self, selector: &str, within: Duration) -> Result<()> {
        let expression = format!(
            "(() => {{ const found = document.querySelector({}); \
             return !!found && found.checkVisibility(); }})()",
            json!(selector)
        );
        wait::until_true(&format!("the page shows {selector}"), within, async || {
            self.evaluate(&expression).await
        })
        .await
    }

    /// Gives the page an authenticator that always says yes, and says that it knows its user.
    pub async fn add_authenticator(&self) -> Result<AuthenticatorId> {
        self.inner.execute(EnableParams::default()).await.context("no virtual authenticators")?;
        let options = VirtualAuthenticatorOptions::builder()
            .protocol(AuthenticatorProtocol::Ctap2)
            .transport(AuthenticatorTransport::Internal)
            .has_resident_key(true)
            .has_user_verification(true)
            .is_user_verified(true)
            .automatic_presence_simulation(true)
            .build()
            .map_err(anyhow::Error::msg)?;
        let added = self.inner.execute(AddVirtualAuthenticatorParams::new(options)).await;
        Ok(added.context("the page got no authenticator")?.result.authenticator_id)
    }

    /// Copies the passkeys of an authenticator of this page to one of another page. Says how many.
    pub async fn copy_passkeys(
        &self,
        from: &AuthenticatorId,
        page: &Self,
        to: &AuthenticatorId,
    ) -> Result<usize> {
        let found = self.inner.execute(GetCredentialsParams::new(from.clone())).await?;
        let credentials = &found.result.credentials;
        for credential in credentials {
            page.inner.execute(AddCredentialParams::new(to.clone(), credential.clone())).await?;
        }
        Ok(credentials.len())
    }

    /// Lets what the page saves land in a directory.
    pub async fn save_into(&self, directory: &Path) -> Result<()> {
        let parameters = SetDownloadBehaviorParams::builder()
            .behavior(SetDownloadBehaviorBehavior::Allow)
            .download_path(directory.display().to_string())
            .build()
            .map_err(anyhow::Error::msg)?;
        self.inner.execute(parameters).await.context("the browser cannot save files")?;
        Ok(())
    }

    /// The text of an element, trimmed; empty when there is none.
    pub async fn text(&self, selector: &str) -> Result<String> {
        let selector = json!(selector);
        self.evaluate(&format!("(document.querySelector({selector})?.textContent ?? '').trim()"))
            .await
    }

    /// Signs in on the app's own page.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<()> {
        self.fill(&test_id("sign-in-email"), email).await?;
        self.fill(&test_id("sign-in-password"), password).await?;
        self.tap(&test_id("sign-in-submit")).await
    }

    /// Taps an element as a finger does, once it is there and shown.
    pub async fn tap(&self, selector: &str) -> Result<()> {
        self.shows(selector, TAP_LIMIT).await?;
        // The app may be drawing it anew at this moment.
        wait::until(&format!("{selector} can be tapped"), TAP_LIMIT, async || {
            let element = self.inner.find_element(selector).await?;
            element.click().await?;
            Ok(Some(()))
        })
        .await
    }

    /// Moves a finger, a mouse or a pen from the middle of an element to a place in another one,
    /// given as shares of its width and height.
    pub async fn drag(&self, from: &str, onto: &str, to: (f64, f64)) -> Result<()> {
        self.shows(from, TAP_LIMIT).await?;
        let start = self.place_in(from, (0.5, 0.5)).await?;
        let end = self.place_in(onto, to).await?;
        let middle = Point { x: f64::midpoint(start.x, end.x), y: f64::midpoint(start.y, end.y) };
        let steps = [
            (DispatchMouseEventType::MousePressed, start),
            (DispatchMouseEventType::MouseMoved, middle),
            (DispatchMouseEventType::MouseMoved, end),
            (DispatchMouseEventType::MouseReleased, end),
        ];
        for (kind, place) in steps {
            let event = DispatchMouseEventParams::builder()
                .r#type(kind)
                .x(place.x)
                .y(place.y)
                .button(MouseButton::Left)
                .buttons(1)
                .click_count(1)
                .build()
                .map_err(anyhow::Error::msg)?;
            self.inner.execute(event).await.with_context(|| format!("cannot drag {from}"))?;
        }
        Ok(())
    }

    async fn place_in(&self, selector: &str, share: (f64, f64)) -> Result<Point> {
        let script = format!(
            "(() => {{ const {{ left, top, width, height }} = \
             document.querySelector({}).getBoundingClientRect(); \
             return [left + width * {}, top + height * {}]; }})()",
            json!(selector),
            share.0,
            share.1
        );
        let (x, y) = self.evaluate(&script).await?;
        Ok(Point { x, y })
    }

    /// Gives the page another size, in its own pixels.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let size = SetDeviceMetricsOverrideParams::builder()
            .width(width)
            .height(height)
            .device_scale_factor(1.0)
            .mobile(width.min(height) < PHONE_BELOW)
            .build()
            .map_err(anyhow::Error::msg)?;
        self.inner.execute(size).await.context("the page cannot be resized")?;
        Ok(())
    }

    /// Moves the page to another time zone; what it has drawn by then stays as it is.
    pub async fn move_to(&self, time_zone: &str) -> Result<()> {
        let zone = SetTimezoneOverrideParams::new(time_zone);
        self.inner.execute(zone).await.with_context(|| format!("no time zone {time_zone}"))?;
        Ok(())
    }

    /// Has the person prefer `light` or `dark`.
    pub async fn prefer(&self, scheme: &str) -> Result<()> {
        let feature = MediaFeature::new("prefers-color-scheme", scheme);
        let media = SetEmulatedMediaParams::builder().feature(feature).build();
        self.inner.execute(media).await.context("the page has no colour schemes")?;
        Ok(())
    }

    /// Notes from now on what the page asks of the network.
    pub async fn traffic(&self) -> Result<Traffic> {
        Traffic::of(&self.inner).await
    }

    /// Reloads a page that asks whether to leave it, and stays.
    pub async fn reload_and_stay(&self) -> Result<()> {
        let mut questions = self.inner.event_listener::<EventJavascriptDialogOpening>().await?;
        // Its answer would come from the page that was reloaded.
        self.evaluate::<bool>("(setTimeout(() => location.reload()), true)").await?;
        tokio::time::timeout(TAP_LIMIT, questions.next()).await.context("the page did not ask")?;
        let stay = HandleJavaScriptDialogParams::new(false);
        self.inner.execute(stay).await.context("the question cannot be answered")?;
        Ok(())
    }

    /// Types into a field.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        self.tap(selector).await?;
        let element = self.inner.find_element(selector).await?;
        element.type_str(text).await.with_context(|| format!("cannot type into {selector}"))?;
        Ok(())
    }

    /// What the browser complained of so far.
    pub fn console(&self) -> Vec<String> {
        self.console.lock().map(|lines| lines.clone()).unwrap_or_default()
    }

    /// Goes to another address, and waits until its page is loaded.
    pub async fn go(&self, url: &str) -> Result<()> {
        let url = json!(url);
        let is_other =
            format!("new URL({url}, location).href.split('#')[0] !== location.href.split('#')[0]");
        let left = self.leave(&is_other, &format!("location.assign({url})")).await;
        left.with_context(|| format!("cannot load {url}"))
    }

    pub async fn reload(&self) -> Result<()> {
        self.leave("true", "location.reload()").await.context("cannot reload the page")
    }

    /// Leaves the document and waits until the next one is loaded. The driver's own wait now and then
    /// misses that a page is loaded, and then waits for 30 s.
    async fn leave(&self, is_other: &str, how: &str) -> Result<()> {
        let begin = format!("(window.isLeft = {is_other}, setTimeout(() => {how}), true)");
        self.evaluate::<bool>(&begin).await?;
        let mut has_failed = false;
        wait::until_true("the next page is loaded", LOAD_LIMIT, async || {
            // Between two documents there is nothing to ask; and this one may leave for a third at once.
            let loaded = self.evaluate(LOADED).await.unwrap_or(None);
            has_failed = loaded == Some(false);
            Ok(loaded.is_some())
        })
        .await?;
        ensure!(!has_failed, "the browser shows an error page");
        Ok(())
    }

    /// Saves what the page looks like as `{name}.png` beside the logs.
    pub async fn screenshot(&self, name: &str) -> Result<()> {
        let file = self.directory.join(format!("{name}.png"));
        let picture = self.inner.screenshot(ScreenshotParams::builder().build()).await?;
        fs::write(&file, picture).with_context(|| format!("cannot write {}", file.display()))
    }
}
