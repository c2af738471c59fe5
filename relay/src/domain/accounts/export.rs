//! All that the relay knows of an account, as one JSON document that is written while it is read: it may be
//! long. Footage is not in it, as no footage passes through the relay: each clip has the address of a
//! door that gives signed addresses in the store for as long as the account exists.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use futures::Stream;
use nightjar_shared::{
    audit::Action,
    ids::{AccountId, SiteId},
    range::Check,
    role::Role,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::confirm::confirm;
use crate::{
    app::App,
    domain::{
        audit::{Entry, record},
        signed_in::SignedIn,
    },
    engines::db::{
        export::{self, Table},
        sites,
    },
    error::Result,
};

/// Pieces that wait for a reader; the writer waits with the next one.
const PIECES: usize = 2;

#[derive(Clone, Deserialize, ToSchema)]
pub struct ExportRequest {
    pub password: String,
}

impl Check for ExportRequest {}

/// Writes all that is known of the caller. Where it fails halfway, the stream ends in an error.
pub async fn export(
    app: &Arc<App>,
    signed_in: &SignedIn,
    password: String,
    address: IpAddr,
) -> Result<impl Stream<Item = Result<Bytes>> + use<>> {
    let caller = signed_in.caller;
    let account_id = caller.account_id;
    confirm(app, signed_in, password, address).await?;
    app.limits.exports.take(&account_id.to_string(), app.now())?;
    record(&app.db, app.now(), Entry::new(Action::DataExported, caller)).await?;
    let (sender, receiver) = mpsc::channel(PIECES);
    let task = app.clone();
    app.tracker.spawn(async move {
        let writer = Writer { app: &task, sender };
        let written = task.cancel.run_until_cancelled(writer.document(account_id)).await;
        if let Some(Err(error)) = written {
            // Of a reader who has gone there is nobody to tell.
            let _ = writer.sender.send(Err(error)).await;
        }
    });
    Ok(futures::stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    }))
}

struct Writer<'a> {
    app: &'a App,
    sender: mpsc::Sender<Result<Bytes>>,
}

impl Writer<'_> {
    async fn document(&self, account_id: AccountId) -> Result<()> {
        let head = json!({"relay": self.app.config.public_url, "made_at": self.app.now()});
        self.text("{\n\"export\": ").await?;
        self.value(&head).await?;
        for table in export::OF_ACCOUNT {
            self.text(&format!(",\n\"{}\": [", table.0)).await?;
            let rows = export::of_account(&self.app.db, *table, account_id).await?;
            self.rows(rows, true).await?;
            self.text("]").await?;
        }
        self.text(",\n\"sites\": {").await?;
        let own = sites::of_account(&self.app.db, account_id, self.app.now()).await?;
        let own = own.into_iter().filter(|site| site.role == Role::Owner && !site.lacks_factor);
        for (number, site) in own.enumerate() {
            self.text(if number == 0 { "\n" } else { ",\n" }).await?;
            self.value(&json!(site.site_id)).await?;
            self.text(": ").await?;
            self.site(site.site_id, &site.name).await?;
        }
        self.text("}\n}\n").await
    }

    async fn site(&self, site_id: SiteId, name: &str) -> Result<()> {
        self.text("{\"name\": ").await?;
        self.value(&json!(name)).await?;
        for table in export::OF_SITE {
            self.text(&format!(",\n\"{}\": [", table.0)).await?;
            self.site_table(*table, site_id).await?;
            self.text("]").await?;
        }
        self.text("}").await
    }

    async fn site_table(&self, table: Table, site_id: SiteId) -> Result<()> {
        let (mut after, mut is_first) = (String::new(), true);
        loop {
            let (mut rows, is_last) = export::of_site(&self.app.db, table, site_id, &after).await?;
            let last = rows.last().and_then(|row| row.get("id")).and_then(Value::as_str);
            after = last.unwrap_or_default().to_owned();
            for row in &mut rows {
                self.add_address(table, row);
            }
            let are_any = !rows.is_empty();
            self.rows(rows, is_first).await?;
            is_first &= !are_any;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Says where the files of a clip are asked for.
    fn add_address(&self, (name, _): Table, row: &mut Map<String, Value>) {
        if let ("clips", Some(id)) = (name, row.get("id").and_then(Value::as_str)) {
            let url = format!("{}/api/v1/clips/{id}/playback", self.app.config.public_url);
            row.insert("files".to_owned(), url.into());
        }
    }

    async fn rows(&self, rows: Vec<Map<String, Value>>, is_first: bool) -> Result<()> {
        let mut text = String::new();
        for (number, row) in rows.into_iter().enumerate() {
            text += if is_first && number == 0 { "\n" } else { ",\n" };
            text += &Value::Object(row).to_string();
        }
        self.text(&text).await
    }

    async fn value(&self, value: &Value) -> Result<()> {
        self.text(&value.to_string()).await
    }

    async fn text(&self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let piece = Bytes::copy_from_slice(text.as_bytes());
        self.sender.send(Ok(piece)).await.map_err(|_| anyhow::anyhow!("the reader has gone").into())
    }
}
