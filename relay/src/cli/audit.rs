//! `audit`: checks that nobody has changed the trail of who did what.

use std::io::Write as _;

use anyhow::Context as _;
use clap::Subcommand;

use super::open_database;
use crate::{
    config::Config,
    domain::audit::{self, Anchor},
};

#[derive(Subcommand)]
pub(super) enum AuditTask {
    /// Checks every entry; names the first that was changed, and ends with exit code 1 then.
    Verify {
        /// An anchor that was printed or logged before; may be given several times
        #[arg(long = "anchor", value_name = "NUMBER:DIGEST")]
        anchors: Vec<Anchor>,
    },
    /// Prints the trail's end, to be kept where nobody who can change the database can change it.
    Anchor,
}

pub(super) async fn run(task: AuditTask, config: &Config) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    let mut output = std::io::stdout();
    match task {
        AuditTask::Verify { anchors } => {
            let checked = audit::verify(&db, &anchors).await?;
            let checked = checked.context("the trail is not as it was written")?;
            let count = (checked.last + 1).saturating_sub(checked.first);
            writeln!(
                output,
                "{count} entries, {} to {}, are as they were written\n{} of them have forgotten \
                 address and details with a deleted account or site\n{} are too new to be chained",
                checked.first, checked.last, checked.forgotten, checked.unchained
            )?;
        }
        AuditTask::Anchor => {
            audit::extend(&db).await?;
            writeln!(output, "{}", audit::anchor(&db).await?)?;
        }
    }
    Ok(())
}
