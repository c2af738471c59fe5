//! Spans that leave for a collector of OpenTelemetry, where one is configured: what a request, a message
//! of a camera and each of their statements took.
//!
//! Nobody waits for the collector. Spans that have ended wait in a bounded queue; what finds it full, or
//! is refused, is dropped and counted.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use nightjar_shared::{
    command::CommandState,
    ids::{CameraId, CommandId},
    request_id::RequestId,
    text_file,
};
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator as _,
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector, HttpClient, HttpError};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{
        Sampler, SdkTracerProvider, Span as SdkSpan, SpanData, SpanExporter as _, SpanProcessor,
    },
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Level, Metadata, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer as _, filter::filter_fn};

use crate::{config::TelemetryConfig, logging::SpanLayer};

/// Spans that wait to be sent: some 2 MB. When full, a further one is dropped.
const QUEUE: usize = 4_096;
/// Spans that are sent at once.
const BATCH: usize = 512;
/// How long a batch is waited for to become full.
const LINGER: Duration = Duration::from_secs(1);
/// For the last batch, when the relay stops.
const FAREWELL: Duration = Duration::from_secs(1);
/// Of a collector's answer, of which the status alone counts.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Of one span: a transaction that deletes a camera has hundreds of statements, each a span of its own.
const EVENTS_MAX: u32 = 64;

/// What became of spans.
#[derive(Debug, Default)]
pub struct SpanCounts {
    pub sent: AtomicU64,
    /// They found the queue full.
    pub dropped: AtomicU64,
    /// The collector was away, silent, or refused them.
    pub refused: AtomicU64,
}

/// Sends what the layer of [`prepare`] collects.
pub struct Telemetry {
    queue: mpsc::Receiver<SpanData>,
    exporter: SpanExporter,
    timeout: Duration,
    counts: Arc<SpanCounts>,
}

/// Makes the layer that collects spans, and what sends them; nothing where no collector is configured.
pub fn prepare(config: &TelemetryConfig) -> anyhow::Result<Option<(SpanLayer, Telemetry)>> {
    let Some(url) = &config.otlp_url else { return Ok(None) };
    let resource = Resource::builder_empty()
        .with_service_name("nightjar-relay")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(config)?)
        .with_endpoint(url)
        .with_timeout(config.timeout())
        // What waits meanwhile has a bounded queue; the next batch is the next attempt.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .context("telemetry.otlp_url")?;
    exporter.set_resource(&resource);
    let (sender, queue) = mpsc::channel(QUEUE);
    let counts = Arc::<SpanCounts>::default();
    let sampler = Sampler::TraceIdRatioBased(config.sample_ratio);
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(sampler)))
        .with_max_events_per_span(EVENTS_MAX)
        .with_span_processor(Queue { sender, counts: counts.clone() })
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("nightjar-relay"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(leaves).with_max_level_hint(Level::DEBUG))
        .boxed();
    Ok(Some((layer, Telemetry { queue, exporter, timeout: config.timeout(), counts })))
}

/// Returns whether a span, or a log line in one, may leave: spans that are made here, for the collector, and
/// lines of the relay's own, since other crates write texts of strangers.
fn leaves(metadata: &Metadata<'_>) -> bool {
    if metadata.is_span() {
        return metadata.target() == module_path!();
    }
    metadata.target().starts_with("nightjar_relay") && *metadata.level() <= Level::INFO
}

impl Telemetry {
    pub fn counts(&self) -> Arc<SpanCounts> {
        self.counts.clone()
    }

    /// Sends spans until cancelled, and then what still waits, as far as a moment allows.
    pub async fn send(mut self, cancel: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        while !cancel.is_cancelled() {
            let received = cancel.run_until_cancelled(self.gather(&mut batch)).await;
            if received.is_some() {
                self.send_batch(std::mem::take(&mut batch), &cancel).await;
            }
        }
        while batch.len() < BATCH
            && let Ok(span) = self.queue.try_recv()
        {
            batch.push(span);
        }
        if !batch.is_empty() {
            self.send_batch(batch, &cancel).await;
        }
    }

    /// Takes what has ended, and what follows within a moment.
    async fn gather(&mut self, batch: &mut Vec<SpanData>) {
        self.queue.recv_many(batch, BATCH).await;
        let full = async {
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                if self.queue.recv_many(batch, room).await == 0 {
                    // Nothing more ever comes: the process has no such layer any more.
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = full => {}
            () = sleep(LINGER) => {}
        }
    }

    /// Sends a batch, for which the collector has its time, and a moment once the relay stops.
    async fn send_batch(&self, batch: Vec<SpanData>, cancel: &CancellationToken) {
        let spans = u64::try_from(batch.len()).unwrap_or(0);
        let farewell = async {
            cancel.cancelled().await;
            sleep(FAREWELL).await;
        };
        let problem = tokio::select! {
            outcome = timeout(self.timeout, self.exporter.export(batch)) => match outcome {
                Ok(outcome) => outcome.err().map(|error| error.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            },
            () = farewell => Some("no answer in time".to_owned()),
        };
        let counter = if problem.is_none() { &self.counts.sent } else { &self.counts.refused };
        let before = counter.fetch_add(spans, Ordering::Relaxed);
        // Once: what follows is counted.
        if let Some(error) = problem.filter(|_| before == 0) {
            tracing::warn!(error, "the collector of telemetry.otlp_url takes no spans");
        }
    }
}

/// Puts spans that have ended into the queue, and never waits.
#[derive(Debug)]
struct Queue {
    sender: mpsc::Sender<SpanData>,
    counts: Arc<SpanCounts>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut SdkSpan, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.sender.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The relay as the collector's client. It follows no redirect: whoever answers may not send elsewhere
/// what the headers open.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    headers: HeaderMap,
}

impl Collector {
    fn new(config: &TelemetryConfig) -> anyhow::Result<Self> {
        let headers = match &config.headers_file {
            Some(path) => read_headers(path).with_context(|| {
                format!("telemetry.headers_file = {}: write lines of `Name: value`", path.display())
            })?,
            None => HeaderMap::new(),
        };
        let mut builder = reqwest::Client::builder()
            .timeout(config.timeout())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(path) = &config.ca_file {
            let pem = fs::read(path)
                .with_context(|| format!("telemetry.ca_file = {}: cannot read", path.display()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .context("telemetry.ca_file: it is no PEM file")?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().context("the collector's HTTPS client does not start")?;
        Ok(Self { client, headers })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = self.client.request(parts.method, parts.uri.to_string());
        let request = request.headers(parts.headers).headers(self.headers.clone()).body(body);
        let mut answer = request.send().await.map_err(reqwest::Error::without_url)?;
        let status = answer.status();
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = status;
        Ok(response)
    }
}

/// Reads headers, whose values are marked as secrets for all that handles them.
fn read_headers(path: &Path) -> anyhow::Result<HeaderMap> {
    let text = text_file::decode(&fs::read(path)?)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .filter(|line| !line.starts_with('#'))
        .enumerate()
        .map(|(index, line)| {
            let (name, value) =
                line.split_once(':').with_context(|| format!("header {}", index + 1))?;
            let mut value = HeaderValue::from_str(value.trim())?;
            value.set_sensitive(true);
            Ok((name.trim().parse::<HeaderName>()?, value))
        })
        .collect()
}

/// The span of a request. It is for the collector alone, as all spans that are made here: log lines have
/// one of their own, which says less and is there without a collector.
pub fn request(method: &'static str, route: &str, request_id: &RequestId) -> Span {
    tracing::debug_span!(
        "http",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        otel.status_code = field::Empty,
        request.id = request_id.as_str(),
    )
}

/// Notes how a request was answered.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "error");
    }
}

/// The span of a statement, by a summary of it that has none of its values.
pub fn statement(summary: impl Fn() -> String) -> Span {
    tracing::debug_span!(
        "sql",
        otel.name = summary(),
        otel.kind = "client",
        db.query.summary = summary(),
    )
}

/// The span of what a camera's message brings about.
pub fn arrival(channel: &'static str, camera_id: CameraId) -> Span {
    tracing::debug_span!(
        "mqtt",
        otel.name = format!("receive {channel}"),
        otel.kind = "consumer",
        messaging.operation.name = "receive",
        messaging.destination.name = channel,
        camera.id = %camera_id,
    )
}

/// The span of a command on its way to its camera.
pub fn sending(kind: &str, command_id: CommandId, camera_id: CameraId) -> Span {
    tracing::debug_span!(
        "mqtt",
        otel.name = format!("send command {kind}"),
        otel.kind = "producer",
        messaging.operation.name = "send",
        messaging.destination.name = "command",
        camera.id = %camera_id,
        command.id = %command_id,
    )
}

/// The span of a camera's answer, in the trace of the request that asked.
pub fn answer(command_id: CommandId, state: CommandState, traceparent: Option<&str>) -> Span {
    let span = tracing::debug_span!(
        "command",
        otel.name = format!("command {}", state.as_str()),
        command.id = %command_id,
        command.state = state.as_str(),
    );
    if let Some(traceparent) = traceparent {
        continue_trace(&span, traceparent);
    }
    span
}

/// Names of the header and of the one field of a context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Has a span go on with a trace that began elsewhere (W3C Trace Context), if it is one.
pub fn continue_trace(span: &Span, traceparent: &str) {
    let Ok(value) = HeaderValue::from_str(traceparent) else { return };
    let headers = HeaderMap::from_iter([(TRACEPARENT, value)]);
    let context = TraceContextPropagator::new().extract(&HeaderExtractor(&headers));
    if context.span().span_context().is_valid() {
        // Where spans go nowhere it has no effect.
        let _ = span.set_parent(context);
    }
}

/// Returns by what others go on with the trace of what is done now; nothing where spans go nowhere.
pub fn traceparent() -> Option<String> {
    let mut headers = HeaderMap::new();
    // That of the span that was entered last of those for the collector: the log's own are none of them.
    let context = Context::current();
    if !context.span().span_context().is_valid() {
        return None;
    }
    TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(&mut headers));
    headers.get(TRACEPARENT)?.to_str().ok().map(str::to_owned)
}

/// Returns the trace that a `traceparent` belongs to, which names a request as well.
pub fn trace_id(traceparent: &str) -> Option<&str> {
    let mut fields = traceparent.split('-');
    let (version, id) = (fields.next()?, fields.next()?);
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = id.len() == 32 && is_hex(id) && id.bytes().any(|byte| byte != b'0');
    (version.len() == 2 && is_hex(version) && version != "ff" && is_id).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_its_request_if_it_is_one() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(trace_id(&format!("00-{id}-b7ad6b7169203331-01")), Some(id));
        for bad in [
            "",
            "00",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
    }
}
