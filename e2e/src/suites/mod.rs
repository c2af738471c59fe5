//! Programs and libraries that others wrote, held against a relay of our own on loopback:
//! `build/test-suites` fetches them and calls this with what they are.

mod clients;
mod schemathesis;
mod slowhttptest;
mod sslyze;

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Suite {
    /// Draws requests from the API's description.
    Schemathesis,
    /// Judges TLS by Mozilla's recommendation.
    Sslyze,
    /// Opens a thousand connections and is slow on them.
    Slowhttptest,
    /// Speaks MQTT as a camera of others' making.
    Paho,
    /// Speaks to the store as others' programs for S3 do.
    Boto3,
}

/// Runs a suite; fails when it finds anything. `program` is it, or the Python that has it.
pub async fn run(suite: Suite, program: &Path) -> Result<()> {
    match suite {
        Suite::Schemathesis => schemathesis::run(program).await,
        Suite::Sslyze => sslyze::run(program).await,
        Suite::Slowhttptest => slowhttptest::run(program).await,
        Suite::Paho => clients::paho(program).await,
        Suite::Boto3 => clients::boto3(program).await,
    }
}
