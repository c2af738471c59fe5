//! The public certificate: what keeps it, and the listener for plain http.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use tokio::time::sleep;

use super::read_text;
use crate::{
    app::App,
    config::ExternalAccountConfig,
    doors::{
        plain_http,
        server::{self, Front, Hosts, Neighbours, ServerLimits, ServerOptions},
    },
    engines::tls::{AcmeSettings, CertificateFiles, ExternalAccount, Trouble},
    listener::listen,
};

/// After the port for plain http was taken.
const BIND_AGAIN: Duration = Duration::from_secs(10);
/// Strangers hear one line there; nobody stays, and no network keeps an ACME server out.
const HTTP_CONNECTIONS: usize = 256;
const HTTP_CONNECTIONS_PER_NETWORK: usize = 16;

/// What keeps the public certificate, by its name.
pub(super) type Keeper = (&'static str, BoxFuture<'static, ()>);

/// Shows the public certificate that there is, before anybody may come. What is to keep it starts after the doors
/// are open: an ACME server knocks at them.
pub(super) async fn prepare(app: &App) -> anyhow::Result<Option<Keeper>> {
    let tls = &app.config.tls;
    let (clock, metrics, cancel) = (app.clock.clone(), &app.metrics, app.cancel.clone());
    let names = app.config.public_names();
    if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
        let files = CertificateFiles { certificate: certificate.clone(), key: key.clone(), names };
        let watch = app.certificates.watch_files(files, clock, metrics, cancel);
        return Ok(Some(("certificate files", Box::pin(watch))));
    }
    let Some(acme) = &tls.acme else { return Ok(None) };
    let settings = AcmeSettings {
        directory: acme.directory.clone(),
        contact: acme.contact.clone(),
        ca_file: acme.ca_file.clone(),
        challenges: app.config.acme_challenges(acme),
        external_account: match &acme.external_account {
            None => None,
            Some(settings) => Some(external_account(settings).await?),
        },
        names,
        data_dir: app.config.data_dir.clone(),
    };
    let keep = app.certificates.keep_by_acme(settings, clock, metrics, cancel);
    Ok(Some(("certificate by ACME", Box::pin(keep))))
}

async fn external_account(settings: &ExternalAccountConfig) -> anyhow::Result<ExternalAccount> {
    let path = &settings.key_file;
    let at = || format!("tls.acme.external_account.key_file = \"{}\"", path.display());
    let text = read_text(path).await.with_context(|| format!("{}: cannot read it", at()))?;
    // With padding or without: servers show both.
    let key = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('=')).ok();
    let key = key.filter(|key| !key.is_empty()).with_context(|| {
        format!("{}: it holds no key in base64url; copy it again from the server's page", at())
    })?;
    Ok(ExternalAccount { key_id: settings.key_id.clone(), key })
}

pub(super) fn start(app: &Arc<App>, keeper: Option<Keeper>) {
    if let Some(address) = app.config.tls.http_listen {
        app.spawn_essential("plain http", open_plain_http(app.clone(), address));
    }
    if let Some((name, keep)) = keeper {
        app.spawn_essential(name, keep);
    }
}

/// Opens the listener for plain http, as soon as its port is free.
async fn open_plain_http(app: Arc<App>, address: SocketAddr) {
    let mut advances = app.clock.advances();
    let listener = loop {
        match listen(address) {
            Ok(listener) => break listener,
            Err(error) => {
                let (address, cause) = (address.to_string(), error.to_string());
                let (trouble, now) = (Trouble::PortTaken { address, cause }, app.now());
                app.certificates.note_http_listener(Some((trouble, now.plus(BIND_AGAIN))), now);
            }
        }
        tokio::select! {
            () = app.cancel.cancelled() => return,
            () = sleep(BIND_AGAIN) => {}
            () = advances.next() => {}
        }
    };
    app.certificates.note_http_listener(None, app.now());
    let limits = ServerLimits {
        connections: HTTP_CONNECTIONS,
        connections_per_network: HTTP_CONNECTIONS_PER_NETWORK,
        ..ServerLimits::default()
    };
    let options = ServerOptions {
        name: "http",
        tls: None,
        limits,
        front: Front::default(),
        hosts: Hosts::Any,
        neighbours: Neighbours::default(),
    };
    let (router, cancel) = (plain_http::router(&app), app.cancel.clone());
    server::serve_router(listener, router, options, &app.metrics, &app.tracker, cancel);
    app.cancel.cancelled().await;
}
