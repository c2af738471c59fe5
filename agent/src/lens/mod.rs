//! Pairing by a QR code: while the camera belongs to nobody, it looks for one in its pictures, and follows
//! it. Looking is done in a process of its own, which may crash over a picture; it ends with the pairing.
//!
//! What a code says is judged in `nightjar_core::qr` and `nightjar_shared::pairing_qr`; following one is the
//! work of whoever starts this.

mod follower;
mod reader;
mod told;
pub mod worker;

use std::{path::PathBuf, time::Duration};

use nightjar_core::{
    picture::LumaFrame,
    qr::{Attempts, Ended, Pace, Verdict, View},
};
use nightjar_shared::pairing_qr::{PairingQr, QrRefusal};
use tokio::{sync::watch, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    follower::{Follower, Obstacle, Setback},
    reader::ReaderCommand,
    told::{LENS_FILE, Told},
};
use self::{reader::Reader, told::Teller};
use crate::{
    clock::Clock,
    encode::{Media, Part},
    pairing::Pairing,
};

/// Pictures that are looked at are at most so wide: more pixels take longer and show no more of a code
/// that fills a good part of the picture. For a small one the middle of larger pictures is looked at, too.
const WIDEST: u32 = 1_280;

/// How long is waited where there is no picture to look at.
const NO_PICTURE: Duration = Duration::from_secs(1);

/// What the task works with.
pub struct Lens {
    pub media: Media,
    pub data_dir: PathBuf,
    pub clock: Clock,
    /// How the process that looks is started.
    pub reader: ReaderCommand,
    /// Follows a code.
    pub follower: Follower,
}

/// Looks for a code until the camera is paired, or `cancel`. Gives whether it looks.
pub fn start(
    lens: Lens,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) -> watch::Receiver<bool> {
    let (looks_in, looks) = watch::channel(!lens.is_paired());
    tracker.spawn(async move {
        let mut reader = Reader::new(lens.reader.clone());
        cancel.run_until_cancelled(lens.look(&mut reader)).await;
        reader.stop().await;
        looks_in.send_replace(false);
    });
    looks
}

impl Lens {
    async fn look(&self, reader: &mut Reader) {
        if self.is_paired() {
            return;
        }
        tracing::info!("the camera belongs to nobody: it looks for the app's QR code");
        let (mut pace, mut attempts) = (Pace::default(), Attempts::default());
        let teller = Teller::new(&self.data_dir, self.clock.clone());
        let mut looks = 0_usize;
        while !self.is_paired() {
            sleep(pace.wait(self.clock.monotonic())).await;
            // In turns, each in all views.
            let is_middle = (looks / View::ALL.len()) % 2 == 1;
            let part = if is_middle { Part::Middle } else { Part::Whole };
            let Some(picture) = self.picture(part).await else {
                sleep(NO_PICTURE).await;
                continue;
            };
            let began = self.clock.monotonic();
            let seen = reader.look(&picture, began).await;
            let now = self.clock.monotonic();
            pace.looked(began, now);
            looks += 1;
            match attempts.consider(&seen, now, self.clock.trusted_unix()) {
                Verdict::Nothing => {}
                Verdict::Refuse(refusal) => teller.tell(&Setback::from(&refusal)),
                Verdict::Follow(pairing) => {
                    let how = self.follow(pairing, &teller).await;
                    attempts.ended(how, self.clock.monotonic());
                }
            }
        }
    }

    fn is_paired(&self) -> bool {
        // One that is damaged is of no use to the camera: it may be paired anew.
        matches!(Pairing::load(&self.data_dir), Ok(Some(_)))
    }

    async fn picture(&self, part: Part) -> Option<LumaFrame> {
        match self.media.grey(WIDEST, part).await {
            Ok(picture) => Some(picture),
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "no picture to look at");
                None
            }
        }
    }

    async fn follow(&self, pairing: PairingQr, teller: &Teller) -> Ended {
        tracing::info!(relay = %pairing.relay_url, wifi = pairing.wifi.is_some(), "a pairing code is seen");
        match self.follower.follow(pairing).await {
            Ok(aside) => {
                match aside {
                    Some(setback) => teller.tell(&setback),
                    None => Told::forget(&self.data_dir),
                }
                Ended::Paired
            }
            Err(setback) => {
                teller.tell(&setback);
                setback.ended
            }
        }
    }
}

impl From<&QrRefusal> for Setback {
    fn from(refusal: &QrRefusal) -> Self {
        Self {
            obstacle: Obstacle::Code(refusal.problem()),
            found: refusal.to_string(),
            next_step: refusal.next_step().to_owned(),
            ended: Ended::ForGood,
        }
    }
}
