//! The web app: files embedded in the binary, and what a browser may do with them.
//!
//! Files live below `/assets/{build}/`, where `build` is a hash over all of them. So they may be
//! cached for ever, modules of two versions never meet in one page, and no build step is needed.
//! Any other address that a browser navigates to gets the page itself: the app routes on.
//!
//! A debug build reads the files when it starts, where they are: what was edited is a restart away.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path,
    sync::{Arc, OnceLock},
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use include_dir::{Dir, DirEntry, include_dir};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

mod source;

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/web");

/// Where a debug build finds the files, when it runs on the machine that made it.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web");

const PAGE: &str = "index.html";
/// What shows messages while the app is closed. It stands at the root, whose pages it opens.
const WORKER: &str = "service_worker.js";
const WORKER_PATH: &str = "/service-worker.js";

/// Stands in the page for the current build.
const BUILD_MARK: &str = "{{build}}";
/// Stands in the page for the links that make a browser fetch every module at once, instead of one
/// floor of imports after the other.
const MODULES_MARK: &str = "<!-- modules -->";
/// Stands in the page for its version, its licence and its source.
const NOTICE_MARK: &str = "<!-- notice -->";

const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Kept, but asked for anew: this is how a browser learns of a new build.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// What a browser must know of a file. What a page may do stands at the page alone: on each of some
/// fifty files it would weigh more than half of what they are.
const FILE_HEADERS: [(HeaderName, HeaderValue); 2] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// First segments that belong to programs. Whoever goes there gets an error for programs.
const PROGRAM_ROOTS: [&str; 7] =
    ["api", "assets", "docs", "internal", "healthz", "readyz", "metrics"];

/// Builds a router with the app, and with the answer for every address that nothing else serves:
/// merge it with routers that have no fallback of their own.
///
/// `public_url` is where browsers reach the relay, `store_url` the object store's own origin:
/// both go into the content security policy. `source_url` is where the operator offers the source of
/// this relay; without it the relay offers what it was built from.
///
/// # Errors
///
/// When one of the addresses cannot stand in a header.
pub fn router<S>(
    public_url: &str,
    store_url: &str,
    source_url: Option<&str>,
) -> anyhow::Result<Router<S>>
where
    S: Clone + Send + Sync + 'static,
{
    let app = Arc::new(WebApp::new(public_url, store_url, &source::notice(source_url))?);
    let router = Router::new()
        .route("/", get(page))
        .route("/s", get(link_page))
        .route("/invitation", get(link_page))
        .route("/mute", get(link_page))
        .route("/reset", get(link_page))
        .route("/verify", get(link_page))
        .route("/first-admin", get(link_page))
        .route("/assets/{build}/{*path}", get(asset))
        .route(WORKER_PATH, get(worker))
        .route(source::ARCHIVE_PATH, get(source::archive))
        .route(source::LICENCE_PATH, get(source::licence))
        .fallback(elsewhere)
        .with_state(app);
    Ok(router)
}

struct WebApp {
    build: String,
    page: Asset,
    assets: BTreeMap<String, Asset>,
    security_headers: Vec<(HeaderName, HeaderValue)>,
    /// What the service worker may load: answers of the relay's, pictures of the store's.
    worker_policy: HeaderValue,
}

/// A file's path from the app's root, and what is in it.
type File = (String, Cow<'static, [u8]>);

struct Asset {
    plain: Bytes,
    /// Made when it is asked for first: most files never are, of a relay that just started.
    gzip: OnceLock<Option<Bytes>>,
    content_type: HeaderValue,
    /// Weak: it stands for both encodings.
    etag: HeaderValue,
}

async fn page(State(app): State<Arc<WebApp>>, headers: HeaderMap) -> Response {
    app.answer_page(&headers)
}

/// Serves the page that a link with a secret leads to. Search engines must not list it, and what it
/// fetches does not hear where it was fetched from.
async fn link_page(State(app): State<Arc<WebApp>>, headers: HeaderMap) -> Response {
    let mut response = app.answer_page(&headers);
    let headers = response.headers_mut();
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(ROBOTS, HeaderValue::from_static("noindex, nofollow, noarchive"));
    response
}

/// Serves the service worker. Browsers ask for it anew by themselves, once a day at least.
async fn worker(State(app): State<Arc<WebApp>>, headers: HeaderMap) -> Response {
    let Some(worker) = app.assets.get(WORKER) else { return not_found() };
    let mut response = answer(worker, REVALIDATE, &headers);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, app.worker_policy.clone());
    response
}

async fn asset(
    State(app): State<Arc<WebApp>>,
    Path((build, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    match app.assets.get(path.as_str()) {
        Some(asset) if build == app.build => answer(asset, FOR_EVER, &headers),
        _ => not_found(),
    }
}

/// Serves the app to a browser on its way to a page; anything else is a mistake, and gets an error.
async fn elsewhere(
    State(app): State<Arc<WebApp>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let root = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default();
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if method == Method::GET && wants_page && !PROGRAM_ROOTS.contains(&root) {
        app.answer_page(&headers)
    } else {
        not_found()
    }
}

fn not_found() -> Response {
    Error::not_found().into_response()
}

impl WebApp {
    fn new(public_url: &str, store_url: &str, notice: &str) -> anyhow::Result<Self> {
        let mut files = files()?;
        files.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let build = build_of(&files);
        let page = files.iter().find(|(path, _)| path == PAGE);
        let page = page.and_then(|(_, content)| str::from_utf8(content).ok());
        let page = page.context("the web app has no page")?;
        let page = page.replace(MODULES_MARK, &module_links(&files)).replace(NOTICE_MARK, notice);
        let page = Asset::new(PAGE, page.replace(BUILD_MARK, &build).into())?;
        let assets = files
            .into_iter()
            .filter(|(path, _)| path != PAGE)
            .map(|(path, content)| {
                let asset = Asset::new(&path, content.into_owned().into())?;
                Ok((path, asset))
            })
            .collect::<anyhow::Result<_>>()?;
        let security_headers = security_headers(public_url, store_url)?;
        let store = policy_source(store_url);
        let worker_policy = HeaderValue::try_from(format!(
            "default-src 'none'; connect-src 'self'; img-src 'self' {store}"
        ))?;
        Ok(Self { build, page, assets, security_headers, worker_policy })
    }

    fn answer_page(&self, request: &HeaderMap) -> Response {
        let mut response = answer(&self.page, REVALIDATE, request);
        response.headers_mut().extend(self.security_headers.iter().cloned());
        response
    }
}

fn answer(asset: &Asset, caching: HeaderValue, request: &HeaderMap) -> Response {
    let mut response = if asset.is_known_to(request) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        asset.body_for(request)
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, asset.etag.clone());
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::CACHE_CONTROL, caching);
    headers.extend(FILE_HEADERS);
    response
}

impl Asset {
    fn new(path: &str, plain: Bytes) -> anyhow::Result<Self> {
        let etag = format!("W/\"{}\"", hex::encode(&Sha256::digest(&plain)[..16]));
        Ok(Self {
            content_type: content_type(path)?,
            etag: HeaderValue::try_from(etag)?,
            gzip: OnceLock::new(),
            plain,
        })
    }

    fn body_for(&self, request: &HeaderMap) -> Response {
        let compressed = accepts_gzip(request).then(|| self.compressed()).flatten();
        let mut response = if let Some(compressed) = compressed {
            let mut response = compressed.into_response();
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
            response
        } else {
            self.plain.clone().into_response()
        };
        response.headers_mut().insert(header::CONTENT_TYPE, self.content_type.clone());
        response
    }

    /// Returns the file as it is sent to who takes gzip; nothing where it cannot be compressed.
    fn compressed(&self) -> Option<Bytes> {
        self.gzip.get_or_init(|| gzip(&self.plain).ok()).clone()
    }

    fn is_known_to(&self, request: &HeaderMap) -> bool {
        request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.as_bytes() == self.etag.as_bytes())
    }
}

/// Compresses a file: all of them together are smaller than one picture.
fn gzip(plain: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain)?;
    encoder.finish().map(Bytes::from)
}

fn accepts_gzip(request: &HeaderMap) -> bool {
    request
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| match coding.split_once(';') {
            None => coding.trim() == "gzip",
            Some((name, weight)) => {
                let weight = weight.trim().trim_start_matches("q=").parse::<f32>();
                name.trim() == "gzip" && weight.is_ok_and(|weight| weight > 0.0)
            }
        })
}

/// Pages for a quiet hour, and parts that few open: their modules are fetched when they are opened.
const LATER: [&str; 11] = [
    "account/",
    "notifications/",
    "pairing/",
    "parts/camera_form.js",
    "parts/clip_download.js",
    "parts/clip_marks.js",
    "parts/watched.js",
    "people/",
    WORKER,
    "settings/",
    "sharing/",
];

fn module_links(files: &[File]) -> String {
    let is_first = |path: &str| !LATER.iter().any(|folder| path.starts_with(folder));
    let modules = files.iter().map(|(path, _)| path.as_str());
    let modules = modules.filter(|path| is_module(path) && is_first(path));
    modules.fold(String::new(), |links, path| {
        links + "<link rel=\"modulepreload\" href=\"/assets/" + BUILD_MARK + "/" + path + "\">\n"
    })
}

fn is_module(path: &str) -> bool {
    path::Path::new(path).extension().is_some_and(|extension| extension == "js")
}

fn files() -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    let folder = path::Path::new(FOLDER);
    if cfg!(debug_assertions) && folder.join(PAGE).exists() {
        read(folder, "", &mut files)?;
    } else {
        collect(&FILES, &mut files);
    }
    Ok(files)
}

fn collect(directory: &Dir<'static>, files: &mut Vec<File>) {
    for entry in directory.entries() {
        match entry {
            DirEntry::Dir(below) => collect(below, files),
            DirEntry::File(file) => files
                .extend(file.path().to_str().map(|path| (path.to_owned(), file.contents().into()))),
        }
    }
}

/// Reads all files below a folder; `prefix` is its path from the app's root, with a slash behind it.
fn read(folder: &path::Path, prefix: &str, files: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.push((path, fs::read(entry.path())?.into()));
        }
    }
    Ok(())
}

/// Makes sixteen hexadecimal digits that change with any file.
fn build_of(files: &[File]) -> String {
    let mut hash = Sha256::new();
    for (path, content) in files {
        for part in [path.as_bytes(), content.as_ref()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hex::encode(&hash.finalize()[..8])
}

fn content_type(path: &str) -> anyhow::Result<HeaderValue> {
    let (_, extension) = path.rsplit_once('.').unwrap_or_default();
    let text = match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "webmanifest" => "application/manifest+json",
        _ => anyhow::bail!("the web app's file {path} has no known content type"),
    };
    Ok(HeaderValue::from_static(text))
}

/// Writes an origin as a policy names it. A policy cannot name an IPv6 address (CSP 3, host-source): then
/// it is any host at that port.
fn policy_source(url: &str) -> String {
    let around =
        url.split_once('[').and_then(|(scheme, rest)| Some((scheme, rest.split_once(']')?.1)));
    around.map_or_else(|| url.to_owned(), |(scheme, port)| format!("{scheme}*{port}"))
}

/// Writes what a page of the app may load and who may hold it: nothing but its own files, the
/// relay's doors, and pictures and clips from the object store.
fn security_headers(
    public_url: &str,
    store_url: &str,
) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
    let socket_url = policy_source(&public_url.replacen("http", "ws", 1));
    let store_url = policy_source(store_url);
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; manifest-src 'self'; \
         img-src 'self' blob: {store_url}; media-src 'self' blob: {store_url}; \
         connect-src 'self' {socket_url} {store_url}; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'self'; require-trusted-types-for 'script'; trusted-types service-worker"
    );
    let policy = HeaderValue::try_from(policy)
        .context("public_url and store.public_url must be plain addresses")?;
    let fixed = [
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()",
        ),
    ];
    let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    Ok([(header::CONTENT_SECURITY_POLICY, policy)].into_iter().chain(fixed).collect())
}
