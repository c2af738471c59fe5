//! sslyze holds each port that speaks TLS against Mozilla's recommendation for servers that old clients
//! reach, too.

use std::{io::Write as _, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tokio::{process::Command, time::timeout};

use crate::{
    relay::{Place, Ports, Relay},
    stack::Scenario,
};

const RUN_LIMIT: Duration = Duration::from_mins(5);

pub(super) async fn run(program: &Path) -> Result<()> {
    Scenario::run("sslyze", async |directory| {
        let place = Place { scheme: "https", ..Place::loopback(Ports::free()?) };
        let relay = Relay::start(&directory, place).await?;
        let Ports { web, store, mqtt } = relay.ports();
        let mut refused = Vec::new();
        for (name, port) in [("app", web), ("store", store), ("MQTT", mqtt)] {
            let judged = Command::new(program)
                .args(["--mozilla_config=intermediate", "--certinfo_ca_file"])
                .arg(relay.ca())
                .arg(format!("localhost:{port}"))
                .kill_on_drop(true)
                .output();
            let judged = timeout(RUN_LIMIT, judged).await.context("sslyze did not end")??;
            if !judged.status.success() {
                std::io::stdout().write_all(&judged.stdout)?;
                std::io::stderr().write_all(&judged.stderr)?;
                refused.push(name);
            }
        }
        ensure!(refused.is_empty(), "sslyze found what is said above of {}", refused.join(", "));
        Ok(())
    })
    .await
}
