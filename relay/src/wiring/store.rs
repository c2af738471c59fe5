//! The object store: here or elsewhere, at a listener of its own or at the app's.

use std::time::Duration;

use anyhow::Context as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::net::TcpListener;

use super::{Stage, read_text};
use crate::{
    app::App,
    config::{Config, StoreCredentials, StoreEngine},
    domain::uploads,
    doors::server::{
        self, Front, Hosts, Named, Neighbours, RequestBody, ServerLimits, ServerOptions,
    },
    engines::{
        metrics::Metrics,
        objects::{
            EmbeddedStore, EmbeddedStoreConfig, Encryption, ObjectKey, Objects, Reserve, S3Store,
            S3StoreConfig, StoreBody,
        },
        tls::Certificates,
    },
};

/// Starts the store. Where it has no listener of its own, what of it is served at the app's comes back,
/// too.
pub(super) async fn start_store(
    config: &Config,
    door: Option<(TcpListener, usize)>,
    certificates: &Certificates,
    metrics: &Metrics,
    engines: &Stage,
) -> anyhow::Result<(Objects, Option<EmbeddedStore>)> {
    if config.store.engine == StoreEngine::S3 {
        let store = s3_store(config).await?;
        warn_of_lifecycle(config);
        store.watch(&engines.tracker, engines.cancel.clone());
        return Ok((store.into(), None));
    }
    let store = open_store(config, metrics)?;
    match door {
        Some(door) => {
            serve_store(config, &store, door, certificates, metrics, engines)?;
            Ok((store.into(), None))
        }
        None => Ok((store.clone().into(), Some(store))),
    }
}

/// Says that the bucket's own rule knows nothing of what people protect: the relay's rules of retention do.
fn warn_of_lifecycle(config: &Config) {
    if let Some(days) = config.store.keep_days {
        tracing::warn!(
            days,
            "store.keep_days: the bucket deletes all footage of that age, also what is protected; to keep that, \
             remove the setting, run `nightjar-relay store prepare`, and let sites have rules of retention"
        );
    }
}

fn open_store(config: &Config, metrics: &Metrics) -> anyhow::Result<EmbeddedStore> {
    EmbeddedStore::open(&EmbeddedStoreConfig {
        data_dir: config.data_dir.clone(),
        public_url: config.store.public_url.clone(),
        app_origin: config.public_url.clone(),
        object_bytes_max: uploads::PART_BYTES_MAX,
        reserve: reserve_of(config),
        metrics: metrics.clone(),
    })
}

fn serve_store(
    config: &Config,
    store: &EmbeddedStore,
    (listener, connections): (TcpListener, usize),
    certificates: &Certificates,
    metrics: &Metrics,
    engines: &Stage,
) -> anyhow::Result<()> {
    let https = config.store.public_url.starts_with("https:");
    let options = ServerOptions {
        name: "store",
        tls: (https && config.store.tls).then(|| certificates.server.clone()),
        limits: ServerLimits { connections, ..ServerLimits::for_objects() },
        front: Front {
            proxies: config.proxies()?,
            proxy_protocol: config.store.proxy_protocol,
            plain: https && !config.store.tls,
            https_alone: config.is_https_alone(&config.store.public_url),
        },
        hosts: Hosts::Any,
        neighbours: Neighbours::default(),
    };
    let (tracker, cancel) = (&engines.tracker, engines.cancel.clone());
    server::serve(listener, store_handler(store), options, metrics, tracker, cancel);
    Ok(())
}

/// Serves the store at the app's listener, to those who name its host.
pub(super) fn store_beside(app: &App, store: &EmbeddedStore) -> anyhow::Result<Named> {
    let config = &app.config;
    let host = config.store_host().to_owned();
    let options = ServerOptions {
        name: "store",
        tls: None,
        limits: ServerLimits::for_objects(),
        front: Front {
            proxies: config.proxies()?,
            https_alone: config.is_https_alone(&config.store.public_url),
            ..Front::default()
        },
        hosts: Hosts::Only(host.clone()),
        neighbours: Neighbours::default(),
    };
    let (metrics, tracker, cancel) = (&app.metrics, &app.tracker, app.cancel.clone());
    Ok(server::serve_named(host, store_handler(store), options, metrics, tracker, cancel))
}

fn store_handler(
    store: &EmbeddedStore,
) -> impl Fn(Request<RequestBody>) -> BoxFuture<'static, Response<StoreBody>> + Clone + use<> {
    let store = store.clone();
    move |request| {
        let store = store.clone();
        Box::pin(async move { store.handle(request).await })
    }
}

/// Puts a package for cameras into the store, from beside a relay that may serve it.
pub async fn store_package(
    config: &Config,
    key: &ObjectKey,
    content: Vec<u8>,
) -> anyhow::Result<()> {
    if config.store.engine == StoreEngine::S3 {
        return Ok(s3_store(config).await?.put(key, content.into()).await?);
    }
    let reserve = reserve_of(config);
    EmbeddedStore::import(&config.data_dir, key, &content, reserve)
}

fn reserve_of(config: &Config) -> Reserve {
    Reserve { percent: config.limits.free_percent, bytes: config.limits.free_bytes() }
}

/// Makes the external store of the configuration. Nothing is asked of it yet.
pub async fn s3_store(config: &Config) -> anyhow::Result<S3Store> {
    let store = &config.store;
    let path = store.credentials_file.display();
    let remedy = || {
        format!(
            "store.credentials_file = \"{path}\": write aws_access_key_id = … and \
             aws_secret_access_key = … into it"
        )
    };
    let text = read_text(&store.credentials_file).await.with_context(remedy)?;
    let credentials = StoreCredentials::parse(&text).with_context(remedy)?;
    let ca_pem = match &store.ca_file {
        None => None,
        Some(path) => {
            Some(read_text(path).await.map(String::into_bytes).with_context(|| {
                format!("store.ca_file = \"{}\": cannot read it", path.display())
            })?)
        }
    };
    let encryption = store.server_side_encryption.map(|algorithm| Encryption {
        algorithm: algorithm.as_str().to_owned(),
        key_id: store.kms_key_id.clone(),
    });
    S3Store::new(&S3StoreConfig {
        endpoint: store.endpoint.clone(),
        public_url: store.public_url.clone(),
        region: store.region.clone(),
        bucket: store.bucket.clone(),
        path_style: store.path_style,
        access_key: credentials.access_key,
        secret_key: credentials.secret_key,
        ca_pem,
        connect_timeout: Duration::from_millis(store.connect_timeout_ms),
        timeout: Duration::from_millis(store.timeout_ms),
        encryption,
        app_origin: config.public_url.clone(),
        keep_days: store.keep_days,
    })
}
