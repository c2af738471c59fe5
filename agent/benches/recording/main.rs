//! `make bench-recording`: what recording costs, on the real encoder, disk and index.

#![expect(clippy::cast_precision_loss, reason = "times and counts are small")]

mod live;
#[path = "../motion/table.rs"]
mod table;

use std::{
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nightjar_agent::{
    clock::{Clock, boot_id, unix_now},
    record::{Adopted, adopt, figures, recordings_dir},
    store::{ClipKind, INDEX_FILE, NewClip, NewPart, Store},
};
use nightjar_shared::{api::PartKind, ids::ClipId, time::ClockState};

use self::table::{Figure, describe_machine, table};

const BEGIN: &str = "<!-- make bench-recording writes below this line -->";
const END: &str = "<!-- make bench-recording writes above this line -->";
const STORED_CLIPS: usize = 10_000;
const ROWS: usize = 100_000;

fn main() -> Result<()> {
    // `cargo test --benches` runs it too; there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let text = fs::read_to_string(&document).context("docs/benchmarks.md cannot be read")?;
    let (before, rest) = text.split_once(BEGIN).context("the document has no begin mark")?;
    let (_, after) = rest.split_once(END).context("the document has no end mark")?;

    let runtime = tokio::runtime::Runtime::new()?;
    let mut figures = vec![ring()?];
    figures.extend(decision());
    figures.push(runtime.block_on(start_up_scan())?);
    figures.extend(runtime.block_on(live::measure())?);
    let written = format!("{}\n\n{}", describe_machine()?, table(&figures));
    writeln!(std::io::stdout().lock(), "{written}").ok();
    let text = format!("{before}{BEGIN}\n\n{written}\n{END}{after}");
    fs::write(&document, text).context("docs/benchmarks.md cannot be written")
}

fn ring() -> Result<Figure> {
    let before = resident_bytes()?;
    let ring = figures::full_preroll(Duration::from_secs(10), 4_000_000);
    let grown = resident_bytes()?.saturating_sub(before) as f64 / 1e6;
    drop(ring);
    Ok(Figure::new("memory of a 10 s ring at 4 Mbit/s", grown, "MB").at_most(8.0))
}

fn resident_bytes() -> Result<u64> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let resident: u64 = pages.split(' ').nth(1).context("statm has no second field")?.parse()?;
    Ok(resident * rustix::param::page_size() as u64)
}

fn decision() -> [Figure; 2] {
    let (took, chosen) = figures::retention_decision(ROWS);
    let took = took.as_secs_f64() * 1e3;
    [
        Figure::new("retention's decision over 100,000 clips", took, "ms").at_most(50.0),
        Figure::new("clips that it chose, half of them being too much", chosen as f64, "")
            .at_least((ROWS / 2) as f64),
    ]
}

/// Opens an index of 10,000 clips and brings it together with their files.
async fn start_up_scan() -> Result<Figure> {
    let directory = tempfile::tempdir()?;
    let recordings = recordings_dir(directory.path());
    fs::create_dir_all(&recordings)?;
    let index = directory.path().join(INDEX_FILE);
    fill(&Store::open(&index)?, &recordings).await?;
    let begun = Instant::now();
    let store = Store::open(&index)?;
    let adopted = adopt(&store, &recordings, boot_id()?, &Clock::default()).await?;
    let took = begun.elapsed();
    ensure!(adopted == Adopted::default(), "all was in order: {adopted:?}");
    Ok(Figure::new("start-up scan of 10,000 clips", took.as_secs_f64(), "s").at_most(2.0))
}

async fn fill(store: &Store, recordings: &Path) -> Result<()> {
    for _ in 0..STORED_CLIPS {
        let clip_id = ClipId::generate();
        let part = |index, kind, name: &str, content_type| NewPart {
            index,
            kind,
            path: format!("{clip_id}.{name}"),
            content_type,
            length: 4,
            duration_ms: None,
        };
        let parts = vec![
            part(0, PartKind::File, "mp4", "video/mp4"),
            part(1, PartKind::Thumbnail, "jpg", "image/jpeg"),
        ];
        for part in &parts {
            fs::write(recordings.join(&part.path), "clip")?;
        }
        let clip = NewClip {
            clip_id,
            event_id: None,
            kind: ClipKind::Motion,
            started_at: unix_now(),
            clock: ClockState::Synced,
            boot_id: boot_id()?,
            started_uptime_ms: 1,
        };
        store.begin_clip(clip, None).await?;
        store.close_clip(clip_id, 1_000, parts, None).await?;
    }
    Ok(())
}
