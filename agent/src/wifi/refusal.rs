//! Why a Wi-Fi network is not joined.

use nightjar_shared::wifi::WifiProblem;

/// Each with what was found. None says anything of the passphrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WifiRefusal {
    #[error("the Wi-Fi cannot be joined: this board has no NetworkManager that runs{}", by(.instead))]
    NoNetworkManager {
        /// What else sees to the network.
        instead: Option<&'static str>,
    },
    #[error("the Wi-Fi cannot be joined: NetworkManager has no Wi-Fi radio")]
    NoRadio,
    #[error("the Wi-Fi cannot be joined: the radio is switched off")]
    RadioOff,
    #[error("the Wi-Fi {ssid} is not to be found")]
    NotFound { ssid: String },
    #[error("the Wi-Fi {ssid} does not take the passphrase")]
    WrongPassphrase { ssid: String },
    #[error("the Wi-Fi {ssid} gives no address")]
    NoAddress { ssid: String },
    #[error("the Wi-Fi was not up within a minute")]
    TimedOut,
    #[error("the Wi-Fi cannot be joined: NetworkManager does not let the agent's user do it")]
    NotPermitted,
    #[error("the Wi-Fi cannot be joined: {0}")]
    Failed(String),
}

#[expect(clippy::ref_option_ref, reason = "thiserror hands over references to fields")]
fn by(instead: &Option<&'static str>) -> String {
    instead.map_or_else(String::new, |other| format!("; {other} sees to its network"))
}

impl WifiRefusal {
    /// Names it for programs.
    pub fn problem(&self) -> WifiProblem {
        match self {
            Self::NoNetworkManager { .. } => WifiProblem::NoNetworkManager,
            Self::NoRadio => WifiProblem::NoRadio,
            Self::RadioOff => WifiProblem::RadioOff,
            Self::NotFound { .. } => WifiProblem::NotFound,
            Self::WrongPassphrase { .. } => WifiProblem::WrongPassphrase,
            Self::NoAddress { .. } => WifiProblem::NoAddress,
            Self::TimedOut => WifiProblem::TimedOut,
            Self::NotPermitted => WifiProblem::NotPermitted,
            Self::Failed(_) => WifiProblem::Failed,
        }
    }

    /// Says what helps.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::NoNetworkManager { .. } => {
                "install network-manager, or set the Wi-Fi up with what the board uses, or use a cable"
            }
            Self::NoRadio => "plug a Wi-Fi adapter in, or use a cable",
            Self::RadioOff => "switch it on (nmcli radio wifi on), and set the Wi-Fi's country",
            Self::NotFound { .. } => {
                "check the network's name, bring the camera nearer, or say that the network is hidden"
            }
            Self::WrongPassphrase { .. } => "correct the passphrase, and show a new code",
            Self::NoAddress { .. } => "check the network's router",
            Self::TimedOut => "bring the camera nearer, or check the network's router",
            Self::NotPermitted => {
                "install the agent's polkit rule (systemd/50-nightjar-agent.rules), or join by nmcli"
            }
            Self::Failed(_) => "look at NetworkManager's log: journalctl -u NetworkManager",
        }
    }
}
