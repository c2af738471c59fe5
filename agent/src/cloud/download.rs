//! Packages from the store: slowly, and on from where the last try ended.

use std::{io, path::Path, time::Duration};

use nightjar_shared::release::{UpdateAnswer, UpdateReport};
use reqwest::header::RANGE;
use tokio::{
    fs::{File, OpenOptions},
    io::AsyncWriteExt,
    time::{sleep, timeout},
};

use super::{
    Cloud, CloudError, Pace,
    transport::{EXCHANGE_TIMEOUT, IDLE_TIMEOUT, body, checked_url},
};

const PARTIAL_CONTENT: u16 = 206;
const RANGE_NOT_SATISFIABLE: u16 = 416;

impl Cloud {
    /// Says how far this camera is with updates, and asks what there is for it.
    pub async fn report_update(&self, report: &UpdateReport) -> Result<UpdateAnswer, CloudError> {
        let door = "POST agent/update";
        let answer = self.post(door, "agent/update", report).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            CloudError::unavailable(door, format!("answered something unexpected: {error}"))
        })
    }

    /// Reads what lies at a presigned address into a file, no faster than `pace` and to `length` bytes
    /// at most. What the file holds already is not read again. May be cut off by an error at any byte.
    pub async fn download(
        &self,
        url: &str,
        path: &Path,
        length: u64,
        pace: &Pace,
    ) -> Result<(), CloudError> {
        let door = "GET of a package";
        let failed = |source: io::Error| CloudError::File { path: path.to_owned(), source };
        let mut have = tokio::fs::metadata(path).await.map_or(0, |found| found.len());
        if have == length {
            return Ok(());
        }
        if have > length {
            have = 0;
        }
        let mut request = self.objects.get(checked_url(url)?);
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        let answered = timeout(EXCHANGE_TIMEOUT, self.objects.send(door, request)).await;
        let silent = || CloudError::unavailable(door, "no answer in time");
        let mut response = answered.map_err(|_| silent())??;
        match response.status().as_u16() {
            PARTIAL_CONTENT => {}
            RANGE_NOT_SATISFIABLE => {
                tokio::fs::remove_file(path).await.map_err(failed)?;
                return Err(CloudError::unavailable(door, "the package is another one now"));
            }
            // From the beginning, or an error.
            _ if response.status().is_success() => have = 0,
            _ => return body(door, response).await.map(drop),
        }
        let mut file = open_at(path, have).await.map_err(failed)?;
        loop {
            let chunk = timeout(IDLE_TIMEOUT, response.chunk()).await.map_err(|_| silent())?;
            let chunk = chunk.map_err(|error| CloudError::from_transport(door, error))?;
            let Some(chunk) = chunk else { break };
            have += chunk.len() as u64;
            if have > length {
                return Err(CloudError::unavailable(door, "more was sent than was promised"));
            }
            file.write_all(&chunk).await.map_err(failed)?;
            let wait = pace.take(chunk.len());
            if !wait.is_zero() {
                sleep(wait.min(Duration::from_secs(10))).await;
            }
        }
        file.sync_all().await.map_err(failed)
    }
}

/// Opens a file to write on after its first bytes.
async fn open_at(path: &Path, have: u64) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(have == 0)
        .mode(0o600)
        .open(path)
        .await?;
    let mut file = file;
    tokio::io::AsyncSeekExt::seek(&mut file, io::SeekFrom::Start(have)).await?;
    Ok(file)
}
