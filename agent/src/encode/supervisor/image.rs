//! Sets the picture as the owner wants it, and says what the camera does not take.

use nightjar_shared::image::ImageSettings;
use tokio::{task::spawn_blocking, time};

use super::{STOP_LIMIT, Supervisor};
use crate::{clock::monotonic_now, encode::pipeline::Pipeline, logging::printable};

impl Supervisor {
    /// Sets what differs; what a camera does not take is said, and kept from nothing else.
    pub(super) async fn set_image(
        &self,
        pipeline: &Pipeline,
        before: ImageSettings,
        wanted: ImageSettings,
    ) {
        let Some(controls) = pipeline.image.clone() else {
            let lacking = wanted.check_against(&[]).err();
            return self.report_image(lacking);
        };
        let set = spawn_blocking(move || controls.change(&before, &wanted));
        let outcome = match time::timeout(STOP_LIMIT, set).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(panic.to_string()),
            Err(_) => Err("image: the camera's driver does not answer".to_owned()),
        };
        self.taps.camera_changed(monotonic_now());
        self.report_image(outcome.err());
    }

    fn report_image(&self, problem: Option<String>) {
        let problem = problem.map(printable);
        if let Some(problem) = &problem {
            tracing::warn!(problem, "the picture is not as it was set");
        }
        self.status.send_modify(|status| status.image_problem = problem);
    }
}
