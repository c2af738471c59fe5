//! Service workers of a browser: messages for them, and what their buttons do. Debian's Chromium reaches no
//! push service, so messages are handed in where one would.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chromiumoxide::cdp::browser_protocol::{
    browser::{PermissionDescriptor, PermissionSetting, SetPermissionParams},
    service_worker::{DeliverPushMessageParams, EnableParams, EventWorkerRegistrationUpdated},
    target::{GetTargetsParams, SetAutoAttachParams},
};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Browser, Page, devtools_address};
use crate::wait;

const START_LIMIT: Duration = Duration::from_secs(20);

impl Browser {
    /// Lets pages of an origin show notifications, as a person does who is asked.
    pub async fn allow_notifications(&self, origin: &str) -> Result<()> {
        let permission = SetPermissionParams::builder()
            .permission(PermissionDescriptor::new("notifications"))
            .setting(PermissionSetting::Granted)
            .origin(origin)
            .build()
            .map_err(anyhow::Error::msg)?;
        self.chromium.execute(permission).await.context("notifications cannot be allowed")?;
        Ok(())
    }

    /// Taps the first notification that is shown, or a button on it.
    pub async fn tap_notification(&self, action: &str) -> Result<()> {
        let script = format!(
            "registration.getNotifications().then(([notification]) => \
             dispatchEvent(new NotificationEvent('notificationclick', \
             {{ notification, action: {} }})))",
            json!(action)
        );
        self.in_worker(&script).await
    }

    /// Has the service worker evaluate an expression.
    async fn in_worker(&self, expression: &str) -> Result<()> {
        let target = wait::until("the service worker runs", START_LIMIT, async || {
            let targets = self.chromium.execute(GetTargetsParams::default()).await?;
            let mut infos = targets.result.target_infos.into_iter();
            Ok(infos.find(|info| info.r#type == "service_worker"))
        })
        .await?;
        // The driver knows pages alone: this speaks to the worker by a socket of its own.
        let browser = devtools_address(&self.directory.join("chromium"));
        let browser = browser.context("the browser has no address")?;
        let (origin, _) = browser.split_once("/devtools/").context("an address of another form")?;
        let url = format!("{origin}/devtools/page/{}", target.target_id.inner());
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
        let message = json!({"id": 1, "method": "Runtime.evaluate",
            "params": {"expression": expression, "awaitPromise": true}});
        socket.send(Message::text(message.to_string())).await?;
        let answer = socket.next().await.context("the service worker does not answer")??;
        let answer = answer.into_text()?;
        ensure!(!answer.contains("exceptionDetails"), "in the service worker: {answer}");
        Ok(())
    }
}

impl Page {
    /// Lets workers of the page begin by themselves: the driver has them wait for a debugger, and knows pages
    /// alone.
    pub async fn let_workers_run(&self) -> Result<()> {
        let parameters = SetAutoAttachParams::builder()
            .auto_attach(false)
            .wait_for_debugger_on_start(false)
            .flatten(true)
            .build()
            .map_err(anyhow::Error::msg)?;
        self.inner.execute(parameters).await.context("workers cannot begin by themselves")?;
        Ok(())
    }

    /// Names the page's service worker, for messages to it.
    pub async fn worker(&self) -> Result<String> {
        let mut events = self.inner.event_listener::<EventWorkerRegistrationUpdated>().await?;
        self.inner.execute(EnableParams::default()).await.context("no service workers")?;
        let found = tokio::time::timeout(START_LIMIT, async {
            while let Some(event) = events.next().await {
                let mut registrations = event.registrations.iter();
                if let Some(found) = registrations.find(|it| !it.is_deleted) {
                    return Some(found.registration_id.inner().clone());
                }
            }
            None
        });
        found.await.context("the page has no service worker")?.context("the browser has gone")
    }

    /// Hands a message to the service worker, as a push service does once it is decrypted.
    pub async fn push(&self, origin: &str, worker: &str, message: &str) -> Result<()> {
        let push = DeliverPushMessageParams::new(origin, worker.to_owned(), message);
        self.inner.execute(push).await.context("the message is not delivered")?;
        Ok(())
    }

    /// Lists the notifications that are shown.
    pub async fn notifications(&self) -> Result<Vec<Value>> {
        self.evaluate(
            "navigator.serviceWorker.ready.then((worker) => worker.getNotifications())\
             .then((shown) => shown.map(({ title, body, tag, image, actions }) => \
             ({ title, body, tag, image, actions: actions.map(({ action }) => action) })))",
        )
        .await
    }
}
