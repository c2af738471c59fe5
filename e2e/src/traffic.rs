//! What a page asks of the network, in the order in which it happens.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use chromiumoxide::{
    Page,
    cdp::browser_protocol::network::{
        EmulateNetworkConditionsByRuleParams, EnableParams, EventRequestServedFromCache,
        EventRequestWillBeSent, EventResponseReceived, NetworkConditions,
    },
};
use futures::StreamExt;
use tokio_util::task::TaskTracker;

/// One step of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The browser wants it, as a fetch, an image, …; what it has itself is not asked for.
    Asked {
        id: String,
        method: String,
        url: String,
        kind: String,
        priority: String,
    },
    /// It came from the browser's own memory: the network saw nothing of it.
    FromMemory {
        id: String,
    },
    Answered {
        id: String,
        status: i64,
        from_cache: bool,
    },
}

/// Grows while its page is open.
#[derive(Debug, Clone)]
pub struct Traffic {
    page: Page,
    steps: Arc<Mutex<Vec<Step>>>,
}

impl Traffic {
    pub(crate) async fn of(page: &Page) -> Result<Self> {
        page.execute(EnableParams::default()).await.context("the network cannot be watched")?;
        let mut asked = page.event_listener::<EventRequestWillBeSent>().await?;
        let mut remembered = page.event_listener::<EventRequestServedFromCache>().await?;
        let mut answered = page.event_listener::<EventResponseReceived>().await?;
        let steps: Arc<Mutex<Vec<Step>>> = Arc::default();
        let noted = Arc::clone(&steps);
        // Ends with the page.
        TaskTracker::new().spawn(async move {
            loop {
                let step = tokio::select! {
                    Some(event) = asked.next() => Step::Asked {
                        id: event.request_id.inner().clone(),
                        method: event.request.method.clone(),
                        url: event.request.url.clone(),
                        kind: event.r#type.as_ref().map(|kind| kind.as_ref().to_owned()).unwrap_or_default(),
                        priority: event.request.initial_priority.as_ref().to_owned(),
                    },
                    Some(event) = remembered.next() => Step::FromMemory { id: event.request_id.inner().clone() },
                    Some(event) = answered.next() => Step::Answered {
                        id: event.request_id.inner().clone(),
                        status: event.response.status,
                        from_cache: event.response.from_disk_cache.unwrap_or_default(),
                    },
                    else => break,
                };
                if let Ok(mut steps) = noted.lock() {
                    steps.push(step);
                }
            }
        });
        Ok(Self { page: page.clone(), steps })
    }

    /// Lets the page have no more than this, each way.
    pub async fn narrow(&self, kilobits: f64, latency_ms: f64) -> Result<()> {
        let bytes = kilobits * 1_000.0 / 8.0;
        let everything = NetworkConditions::new("", latency_ms, bytes, bytes);
        let conditions = EmulateNetworkConditionsByRuleParams::new(false, vec![everything]);
        self.page.execute(conditions).await.context("the network cannot be narrowed")?;
        Ok(())
    }

    /// All steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.steps.lock().map(|steps| steps.clone()).unwrap_or_default()
    }

    /// Forgets what happened until now.
    pub fn forget(&self) {
        if let Ok(mut steps) = self.steps.lock() {
            steps.clear();
        }
    }

    /// The addresses, without their queries, of the pictures that went over the network.
    pub fn pictures(&self) -> Vec<String> {
        let steps = self.steps();
        let is_kept = |wanted: &String| {
            steps.iter().any(|step| match step {
                Step::FromMemory { id } | Step::Answered { id, from_cache: true, .. } => {
                    id == wanted
                }
                _ => false,
            })
        };
        let pictures = steps.iter().filter_map(|step| match step {
            Step::Asked { id, url, kind, .. }
                if kind == "Image" && url.contains("X-Amz-") && !is_kept(id) =>
            {
                url.split('?').next().map(str::to_owned)
            }
            _ => None,
        });
        pictures.collect()
    }
}
