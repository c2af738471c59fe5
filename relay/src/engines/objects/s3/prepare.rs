//! What `nightjar-relay store prepare` does: the bucket, who may read it from a page, and what the
//! store cleans up by itself.

use std::{collections::BTreeMap, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use rusty_s3::{Method as SignedMethod, S3Action, actions, signing};

use super::{Answer, REQUEST_EXPIRY, S3Store};
use crate::engines::objects::{READ_HEADERS, UPLOAD_HEADERS};

/// Of an answer to a preflight.
const PREFLIGHT_AGE_S: u32 = 600;

pub(super) async fn prepare(store: &S3Store) -> anyhow::Result<Vec<String>> {
    let name = store.shared.own.name();
    let made = make_bucket(store).await?;
    let origin = &store.shared.app_origin;
    configure(store, "cors", cors(origin)).await?;
    let lifecycle = configure(store, "lifecycle", lifecycle(store.shared.keep_days)).await;
    Ok(vec![
        format!("bucket {name}: {}", if made { "made" } else { "is there" }),
        format!("CORS rule: pages of {origin} may read, and upload what they were permitted to"),
        match (lifecycle, store.shared.keep_days) {
            (Ok(()), None) => {
                "lifecycle: what was uploaded in part is removed after a day".to_owned()
            }
            (Ok(()), Some(days)) => format!(
                "lifecycle: footage is removed after {days} days, also what is protected; what was uploaded in part after one"
            ),
            // It is for tidiness alone, unless footage is to go.
            (Err(error), None) => format!("lifecycle: not set ({error})"),
            (Err(error), Some(_)) => return Err(error),
        },
    ])
}

/// Returns whether it had to be made.
async fn make_bucket(store: &S3Store) -> anyhow::Result<bool> {
    let (own, credentials) = (&store.shared.own, &store.shared.credentials);
    let head = actions::HeadBucket::new(own, Some(credentials));
    let answer = store.send(Method::HEAD, head.sign(REQUEST_EXPIRY).as_str()).await?;
    match answer.status {
        status if status.is_success() => return Ok(false),
        StatusCode::NOT_FOUND => {}
        _ => return Err(answer.refused("these credentials for the bucket").into()),
    }
    let create = actions::CreateBucket::new(own, credentials);
    let url = create.sign(REQUEST_EXPIRY);
    // Some stores want to hear where, and others take it amiss.
    let constraint = format!(
        "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
        own.region()
    );
    let mut answer = put(store, url.as_str(), Bytes::new()).await?;
    if answer.status == StatusCode::BAD_REQUEST {
        answer = put(store, url.as_str(), Bytes::from(constraint)).await?;
    }
    anyhow::ensure!(answer.status.is_success(), answer.refused("to make the bucket"));
    Ok(true)
}

async fn put(store: &S3Store, url: &str, body: Bytes) -> anyhow::Result<Answer> {
    Ok(store.shared.client.send(Method::PUT, url, &BTreeMap::new(), Some(body)).await?)
}

/// Writes one of the bucket's configurations.
async fn configure(store: &S3Store, what: &'static str, xml: String) -> anyhow::Result<()> {
    let (own, credentials) = (&store.shared.own, &store.shared.credentials);
    let md5 = STANDARD.encode(Md5::digest(&xml));
    let url = signing::sign(
        &Timestamp::now(),
        SignedMethod::Put,
        own.base_url().clone(),
        credentials.key(),
        credentials.secret(),
        None,
        own.region(),
        REQUEST_EXPIRY.as_secs(),
        [(what, "")].into_iter(),
        [("content-md5", md5.as_str()), ("content-type", "application/xml")].into_iter(),
    );
    let headers = BTreeMap::from([
        ("content-md5".to_owned(), md5.clone()),
        ("content-type".to_owned(), "application/xml".to_owned()),
    ]);
    let body = Some(Bytes::from(xml));
    let answer = store.shared.client.send(Method::PUT, url.as_str(), &headers, body).await?;
    anyhow::ensure!(
        answer.status.is_success(),
        answer.refused(if what == "cors" { "the CORS rule" } else { "the lifecycle" })
    );
    Ok(())
}

/// Lets the app's pages read, with ranges, and upload what they were permitted to.
fn cors(origin: &str) -> String {
    let mut xml = "<CORSConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><CORSRule>"
        .to_owned();
    // An origin has no character that XML knows.
    let _ = write!(xml, "<AllowedOrigin>{origin}</AllowedOrigin>");
    for method in ["GET", "HEAD", "PUT"] {
        let _ = write!(xml, "<AllowedMethod>{method}</AllowedMethod>");
    }
    for header in [READ_HEADERS, UPLOAD_HEADERS].iter().flat_map(|names| names.split(", ")) {
        let _ = write!(xml, "<AllowedHeader>{header}</AllowedHeader>");
    }
    for header in ["Content-Range", "Content-Length", "Accept-Ranges"] {
        let _ = write!(xml, "<ExposeHeader>{header}</ExposeHeader>");
    }
    let _ = write!(xml, "<MaxAgeSeconds>{PREFLIGHT_AGE_S}</MaxAgeSeconds>");
    xml.push_str("</CORSRule></CORSConfiguration>");
    xml
}

fn lifecycle(keep_days: Option<u32>) -> String {
    let rule = |id: &str, action: &str| {
        format!(
            "<Rule><ID>{id}</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>{action}</Rule>"
        )
    };
    let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload>";
    let mut rules = rule("nightjar-uploads", abort);
    if let Some(days) = keep_days {
        rules +=
            &rule("nightjar-footage", &format!("<Expiration><Days>{days}</Days></Expiration>"));
    }
    format!(
        "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rules}</LifecycleConfiguration>"
    )
}
