//! The web app's door: what a browser gets, and what it is allowed to do with it.

use std::{collections::BTreeSet, fs, io::Read as _, path::Path, process::Command, sync::LazyLock};

use axum::{Router, body::Body};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use nightjar_relay::doors::web;
use tower::ServiceExt as _;

const STORE: &str = "http://localhost:8081";

/// Made once for all tests of this process: it packs all files.
fn app() -> Router {
    static APP: LazyLock<Router> =
        LazyLock::new(|| web::router("http://localhost:8080", STORE, None).unwrap());
    APP.clone()
}

async fn get(path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn navigate(path: &str) -> Response<Body> {
    get(path, &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]).await
}

fn header(response: &Response<Body>, name: &header::HeaderName) -> String {
    response.headers().get(name).map_or_else(String::new, |it| it.to_str().unwrap().to_owned())
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// The addresses of the files that the page names.
async fn linked_assets() -> Vec<String> {
    text(navigate("/").await)
        .await
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_file_that_the_page_names_is_served_with_its_type() {
    let assets = linked_assets().await;
    assert!(assets.len() >= 6, "{assets:?}");
    for path in assets {
        let response = get(&path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let content_type = header(&response, &header::CONTENT_TYPE);
        let expected = match path.rsplit('.').next().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "application/manifest+json",
        };
        assert_eq!(content_type, expected, "{path}");
        assert!(header(&response, &header::CACHE_CONTROL).contains("immutable"), "{path}");
    }
}

#[tokio::test]
async fn every_module_that_a_module_imports_exists() {
    let modules = every_module().await;
    assert!(modules.len() > 20, "only {modules:?}");
}

/// The addresses of all modules, each of which is there.
async fn every_module() -> BTreeSet<String> {
    let page = text(navigate("/").await).await;
    let build = page.split("/assets/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let base = format!("/assets/{build}/");
    let mut waiting = vec!["main.js".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(module) = waiting.pop() {
        let path = format!("{base}{module}");
        if !seen.insert(path.clone()) {
            continue;
        }
        let response = get(&path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{module} is imported but missing");
        waiting.extend(imports(&module, &text(response).await));
    }
    seen
}

/// The modules that `source` imports, as paths from the app's root.
fn imports(module: &str, source: &str) -> Vec<String> {
    let folder = module.rsplit_once('/').map_or("", |(folder, _)| folder);
    source
        .split('"')
        .filter(|part| part.starts_with("./") || part.starts_with("../"))
        .filter(|part| part.rsplit('.').next() == Some("js"))
        .map(|part| match part.strip_prefix("../") {
            Some(path) => path.to_owned(),
            None => format!("{folder}/{}", &part[2..]).trim_start_matches('/').to_owned(),
        })
        .collect()
}

#[tokio::test]
async fn the_page_names_the_modules_of_what_is_opened_often_so_that_none_waits_for_another() {
    let page = text(navigate("/").await).await;
    let named = page.matches("rel=\"modulepreload\"").count();
    assert!(named > 20 && !page.contains("/settings/"), "{page}");
    assert!(!page.contains("{{") && !page.contains("<!-- modules -->"), "{page}");
}

#[tokio::test]
async fn a_browser_that_reads_gzip_gets_fewer_bytes_of_the_same_file() {
    let path = linked_assets().await.into_iter().find(|path| path.ends_with("main.js")).unwrap();
    let plain = text(get(&path, &[("accept-encoding", "br, gzip;q=0")]).await).await;
    let packed = get(&path, &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(header(&packed, &header::CONTENT_ENCODING), "gzip");
    assert_eq!(header(&packed, &header::VARY), "accept-encoding");
    let packed = packed.into_body().collect().await.unwrap().to_bytes();
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    assert!(packed.len() < plain.len(), "{} of {}", packed.len(), plain.len());
}

#[tokio::test]
async fn addresses_of_the_app_get_the_page_and_a_reload_costs_nothing() {
    let first = navigate("/cameras/018f0000-0000-7000-8000-000000000000").await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(header(&first, &header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert_eq!(header(&first, &header::CACHE_CONTROL), "no-cache");
    let etag = header(&first, &header::ETAG);

    let again = get("/events", &[("accept", "text/html"), ("if-none-match", &etag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(text(again).await, "");
}

#[tokio::test]
async fn programs_get_an_error_for_programs() {
    for (path, accept) in [
        ("/api/v1/nothing", "text/html"),
        ("/assets/0000000000000000/main.js", "text/html"),
        ("/internal/x", "text/html"),
        ("/somewhere", "*/*"),
        ("/favicon.ico", "image/webp"),
    ] {
        let response = get(path, &[("accept", accept)]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(header(&response, &header::CONTENT_TYPE), "application/problem+json", "{path}");
    }
    let post = Request::post("/events").header("accept", "text/html").body(Body::empty()).unwrap();
    assert_eq!(app().oneshot(post).await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn everyone_finds_version_licence_and_the_source_that_the_relay_was_built_from() {
    // The page of the shared clip is for people without an account.
    for path in ["/", "/sign-in", "/s"] {
        let page = text(navigate(path).await).await;
        assert!(page.contains(concat!("Nightjar ", env!("CARGO_PKG_VERSION"))), "{path}: {page}");
        assert!(page.contains("href=\"/licence.txt\""), "{path}: {page}");
        assert!(page.contains("href=\"/source.tar.gz\""), "{path}: {page}");
    }
    let licence = text(get("/licence.txt", &[]).await).await;
    assert!(licence.contains("GNU AFFERO GENERAL PUBLIC LICENSE"), "{licence}");

    let response = get("/source.tar.gz", &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, &header::CONTENT_TYPE), "application/gzip");
    let unpacked = unpacked(&response.into_body().collect().await.unwrap().to_bytes());
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for file in [
        "LICENSE",
        "Cargo.lock",
        "relay/src/doors/web.rs",
        "relay/web/main.js",
        "shared/src/lib.rs",
    ] {
        let packed = fs::read(unpacked.path().join("nightjar").join(file)).unwrap();
        assert_eq!(packed, fs::read(here.join(file)).unwrap(), "{file} is not what was built");
    }
}

fn unpacked(archive: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("source.tar.gz");
    fs::write(&file, archive).unwrap();
    let tar = Command::new("tar").arg("-xzf").arg(&file).arg("-C").arg(directory.path()).status();
    assert!(tar.unwrap().success());
    directory
}

#[tokio::test]
async fn the_page_may_load_only_from_the_relay_and_the_store() {
    let response = navigate("/").await;
    let policy = header(&response, &header::CONTENT_SECURITY_POLICY);
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: http://localhost:8081",
        "media-src 'self' blob: http://localhost:8081",
        "connect-src 'self' ws://localhost:8080 http://localhost:8081",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.split("; ").any(|it| it == directive), "{directive} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header(&response, &header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(header(&response, &header::REFERRER_POLICY), "same-origin");
}

#[tokio::test]
async fn the_page_of_a_link_is_found_by_that_link_alone() {
    for path in ["/s", "/invitation", "/reset", "/verify"] {
        let shared = navigate(path).await;
        assert_eq!(header(&shared, &header::REFERRER_POLICY), "no-referrer");
        let robots = header::HeaderName::from_static("x-robots-tag");
        assert!(header(&shared, &robots).contains("noindex"));
        let usual = navigate("/").await;
        let policy = header::CONTENT_SECURITY_POLICY;
        assert_eq!(header(&shared, &policy), header(&usual, &policy));
        assert_eq!(header(&usual, &robots), "");
        assert_eq!(text(shared).await, text(usual).await);
    }
}

#[tokio::test]
async fn the_page_holds_no_inline_script_or_style() {
    let page = text(navigate("/").await).await;
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("{{"), "{page}");
    for script in page.split("<script").skip(1) {
        let (tag, rest) = script.split_once('>').unwrap();
        assert!(tag.contains("src=") && rest.starts_with("</script>"), "{script}");
    }
}

/// 60 KiB on the way to a phone: a second on a slow mobile network. What is fetched later, with a
/// page that few open, may take as much again as leaves 144 KiB for all: 8 of them draw QR codes, 28 are
/// pages about people and their accounts, 12 about what people are told.
#[tokio::test]
async fn the_scripts_stay_within_the_phone_s_budget() {
    let scripts: BTreeSet<_> = linked_assets().await.into_iter().collect();
    let (mut first, mut all) = (0, 0);
    for path in scripts.iter().filter(|path| path.rsplit('.').next() == Some("js")) {
        first += packed_bytes(path).await;
    }
    for path in every_module().await {
        all += packed_bytes(&path).await;
    }
    assert!((10_000..60 * 1_024).contains(&first), "{first} bytes of scripts at first");
    assert!((first..144 * 1_024).contains(&all), "{all} bytes of scripts");
}

async fn packed_bytes(path: &str) -> usize {
    let packed = get(path, &[("accept-encoding", "gzip")]).await;
    packed.into_body().collect().await.unwrap().to_bytes().len()
}
