//! What `make demo` runs.

use anyhow::Result;
use nightjar_demo::demo;

/// A relay and one paired camera, until Ctrl-C. Reads `DEMO_PORT`, `DEMO_LISTEN`, `DEMO_CAMERA` and
/// `DEMO_JSON` from the environment.
// One thread: the kernel kills a child when the thread that started it ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    demo::run(demo::Options::from_environment()?).await
}
