//! Keys that are exchanged while the relay serves. Each goes on in the old way until nobody needs that.

use crate::{
    engines::{
        db::{Db, sealed},
        seal::Seal,
    },
    error::Result,
    progress::{Progress, Stage},
};

/// Rows that are read at a time.
const ROWS: u32 = 500;
const PASSES_MAX: usize = 5;

/// What sealing anew has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Secrets that are sealed by the newest key now.
    pub anew: u64,
    /// Secrets that no key opens; they were lost before.
    pub lost: u64,
}

/// Seals by the newest key all that an older one has sealed. May be cut off and done again at any time.
pub async fn seal_anew(db: &Db, seal: &Seal, progress: &Progress) -> Result<Sealed> {
    let mut total = Sealed::default();
    // What was written meanwhile by who had not seen the new key yet is found by another pass.
    for _ in 0..PASSES_MAX {
        let mut done = 0;
        let mut pass = Sealed::default();
        for column in sealed::COLUMNS {
            seal_column(db, seal, column, &mut pass, |rows| {
                done += rows;
                progress.tell(Stage::Sealing, done, None);
            })
            .await?;
        }
        total.anew += pass.anew;
        total.lost = pass.lost;
        if pass.anew == 0 {
            return Ok(total);
        }
    }
    Err(anyhow::anyhow!("secrets go on being sealed by an older key: is an older relay running?")
        .into())
}

async fn seal_column(
    db: &Db,
    seal: &Seal,
    column: &sealed::SealedColumn,
    pass: &mut Sealed,
    mut tell: impl FnMut(u64),
) -> Result<()> {
    let mut after = String::new();
    loop {
        let rows = sealed::list(db, column, &after, ROWS).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after.clone_from(&last.id);
        tell(rows.len() as u64);
        for row in rows {
            let context = format!("{} {}", column.context, row.id);
            match seal.seal_anew(&context, &row.sealed) {
                Ok(None) => {}
                Ok(Some(anew)) => {
                    // One that was changed in between is looked at again in the next pass.
                    sealed::exchange(db, column, &row, &anew).await?;
                    pass.anew += 1;
                }
                Err(error) => {
                    pass.lost += 1;
                    tracing::warn!(column = column.name, id = row.id, "{error:#}");
                }
            }
        }
    }
}
