//! Joins a Wi-Fi network by `NetworkManager` over D-Bus, and goes back to the network of before where that
//! fails: `NetworkManager` itself keeps what was before (a checkpoint), so it goes back even where the agent
//! dies meanwhile.

mod manager;
mod refusal;

use std::time::Duration;

use nightjar_shared::wifi::Wifi;
use tokio::time::{Instant, timeout, timeout_at};

use self::manager::Manager;
pub use self::refusal::WifiRefusal;

/// A network that is not up by then is given up.
const JOIN_WITHIN: Duration = Duration::from_mins(1);
/// A D-Bus that has not answered by then has nobody on it.
const BUS_WITHIN: Duration = Duration::from_secs(5);

/// Joins a network, for now and for every start to come.
pub async fn join(wifi: &Wifi) -> Result<(), WifiRefusal> {
    let deadline = Instant::now() + JOIN_WITHIN;
    let manager = timeout(BUS_WITHIN, Manager::connect()).await;
    let manager = manager.unwrap_or(Err(WifiRefusal::NoNetworkManager { instead: None }))?;
    let radio = within(deadline, manager.radio()).await?;
    let before = within(deadline, manager.checkpoint(&radio)).await?;
    let joined = within(deadline, manager.join(&radio, wifi)).await;
    // Neither waits for the network.
    match joined {
        Ok(()) => manager.keep(before).await,
        Err(refusal) => {
            manager.go_back(before).await;
            Err(refusal)
        }
    }
}

async fn within<T>(
    deadline: Instant,
    step: impl Future<Output = Result<T, WifiRefusal>>,
) -> Result<T, WifiRefusal> {
    timeout_at(deadline, step).await.unwrap_or(Err(WifiRefusal::TimedOut))
}
