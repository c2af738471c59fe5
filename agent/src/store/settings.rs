//! Settings changed at run time, which outlive a restart.

use rusqlite::OptionalExtension;
use serde::{Serialize, de::DeserializeOwned};

use super::{Result, Store};

impl Store {
    /// Reads a setting; `None` where it was never set, or has another shape now.
    pub async fn setting<T: DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>> {
        let text: Option<String> = self
            .read(move |connection| {
                Ok(connection
                    .query_row("select value from settings where key = ?1", [key], |row| row.get(0))
                    .optional()?)
            })
            .await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps a setting.
    pub async fn set_setting<T: Serialize>(&self, key: &'static str, value: &T) -> Result<()> {
        let text = serde_json::to_string(value)?;
        self.write(move |transaction| {
            transaction.execute(
                "insert into settings (key, value) values (?1, ?2)
                 on conflict (key) do update set value = excluded.value",
                [key, &text],
            )?;
            Ok(())
        })
        .await
    }
}
