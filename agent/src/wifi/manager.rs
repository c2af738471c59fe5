//! `NetworkManager` over D-Bus. Its interface is documented at networkmanager.dev; the numbers are its own.

use std::{collections::HashMap, num::NonZeroUsize, pin::Pin, time::Duration};

use nightjar_shared::wifi::{Passphrase, Wifi};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use zbus::{
    Connection, DynamicType, MatchRule, MessageStream, OwnedObjectPath, OwnedVariant, Variant,
    export::futures_core::Stream as _, message, wire::DynamicDeserialize,
};

use super::WifiRefusal;

const MANAGER: &str = "org.freedesktop.NetworkManager";
const MANAGER_PATH: &str = "/org/freedesktop/NetworkManager";
const SETTINGS_PATH: &str = "/org/freedesktop/NetworkManager/Settings";
const SETTINGS: &str = "org.freedesktop.NetworkManager.Settings";
const CONNECTION: &str = "org.freedesktop.NetworkManager.Settings.Connection";
const DEVICE: &str = "org.freedesktop.NetworkManager.Device";
const WIRELESS: &str = "org.freedesktop.NetworkManager.Device.Wireless";
const ACCESS_POINT: &str = "org.freedesktop.NetworkManager.AccessPoint";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// What else may see to a board's network.
const OTHERS: [(&str, &str); 2] =
    [("org.freedesktop.network1", "systemd-networkd"), ("net.connman", "ConnMan")];

const DEVICE_TYPE_WIFI: u32 = 2;
const STATE_ACTIVATED: u32 = 100;
const STATE_FAILED: u32 = 120;
/// Of an access point that speaks WPA3 and nothing older.
const KEY_MANAGEMENT_PSK: u32 = 0x100;
const KEY_MANAGEMENT_SAE: u32 = 0x400;
/// Going back takes away what was added meanwhile.
const DELETE_NEW_CONNECTIONS: u32 = 0x02;
/// A little longer than joining may take: then `NetworkManager` goes back by itself.
const CHECKPOINT_S: u32 = 75;

/// A network that is not found by then is not there. Two scans of all channels take some ten seconds.
const FIND_WITHIN: Duration = Duration::from_secs(25);
const SCAN_EVERY: Duration = Duration::from_secs(5);
/// Signals that wait to be read: states that a device goes through.
const SIGNALS: usize = 32;

/// Settings of a connection, by section and name.
type Settings<'a> = HashMap<&'a str, HashMap<&'a str, Variant<'a>>>;

/// The running `NetworkManager`.
pub(super) struct Manager {
    bus: Connection,
}

/// What was before.
pub(super) struct Checkpoint(OwnedObjectPath);

/// A device with a Wi-Fi radio.
pub(super) struct Radio(OwnedObjectPath);

impl Manager {
    pub(super) async fn connect() -> Result<Self, WifiRefusal> {
        let none = |_| WifiRefusal::NoNetworkManager { instead: None };
        let this = Self { bus: Connection::system().await.map_err(none)? };
        if this.is_on_bus(MANAGER).await? {
            return Ok(this);
        }
        let mut instead = None;
        for (name, other) in OTHERS {
            if this.is_on_bus(name).await? {
                instead = Some(other);
                break;
            }
        }
        Err(WifiRefusal::NoNetworkManager { instead })
    }

    async fn is_on_bus(&self, name: &str) -> Result<bool, WifiRefusal> {
        let asked = self.bus.call_method(Some(BUS), BUS_PATH, Some(BUS), "NameHasOwner", &name);
        let reply = asked.await.map_err(|error| refused(&error))?;
        reply.body().deserialize().map_err(|error| refused(&error))
    }

    /// Finds the first radio.
    pub(super) async fn radio(&self) -> Result<Radio, WifiRefusal> {
        let devices: Vec<OwnedObjectPath> =
            self.call(MANAGER_PATH, MANAGER, "GetDevices", &()).await?;
        for device in devices {
            if self.get::<u32>(device.as_str(), DEVICE, "DeviceType").await? == DEVICE_TYPE_WIFI {
                let is_on: bool = self.get(MANAGER_PATH, MANAGER, "WirelessEnabled").await?;
                return if is_on { Ok(Radio(device)) } else { Err(WifiRefusal::RadioOff) };
            }
        }
        Err(WifiRefusal::NoRadio)
    }

    /// Has what is now kept, to go back to.
    pub(super) async fn checkpoint(&self, radio: &Radio) -> Result<Checkpoint, WifiRefusal> {
        let body = (vec![&radio.0], CHECKPOINT_S, DELETE_NEW_CONNECTIONS);
        self.call(MANAGER_PATH, MANAGER, "CheckpointCreate", &body).await.map(Checkpoint)
    }

    pub(super) async fn keep(&self, before: Checkpoint) -> Result<(), WifiRefusal> {
        self.call(MANAGER_PATH, MANAGER, "CheckpointDestroy", &before.0).await
    }

    pub(super) async fn go_back(&self, before: Checkpoint) {
        let back: Result<HashMap<String, u32>, _> =
            self.call(MANAGER_PATH, MANAGER, "CheckpointRollback", &before.0).await;
        match back {
            Ok(devices) if devices.values().all(|result| *result == 0) => {
                tracing::info!("the network is as it was before");
            }
            Ok(_) => tracing::warn!("the network of before cannot be joined again"),
            // NetworkManager goes back by itself when the time of the checkpoint is over.
            Err(error) => tracing::warn!(%error, "the network of before is not back yet"),
        }
    }

    /// Joins a network, and keeps it for every start to come once it is up.
    pub(super) async fn join(&self, radio: &Radio, wifi: &Wifi) -> Result<(), WifiRefusal> {
        let access_point = self.find(radio, wifi).await?;
        let settings = self.settings(wifi, access_point.as_ref()).await?;
        let mut states = self.states(radio).await?;
        let options = HashMap::from([("persist", Variant::from("memory"))]);
        let none = OwnedObjectPath::try_from("/").map_err(|error| refused(&error))?;
        let body = (settings, &radio.0, access_point.as_ref().unwrap_or(&none), options);
        let (connection, _, _): (OwnedObjectPath, OwnedObjectPath, HashMap<String, OwnedVariant>) =
            self.call(MANAGER_PATH, MANAGER, "AddAndActivateConnection2", &body).await?;
        loop {
            match states.next().await? {
                (STATE_ACTIVATED, _) => break,
                (STATE_FAILED, reason) => return Err(failure(reason, wifi)),
                _ => {}
            }
        }
        self.forget_older(&connection, &name_of(wifi)).await;
        self.call(connection.as_str(), CONNECTION, "Save", &()).await
    }

    /// Finds the access point of a network; nothing for a hidden one that does not answer to its name.
    async fn find(
        &self,
        radio: &Radio,
        wifi: &Wifi,
    ) -> Result<Option<OwnedObjectPath>, WifiRefusal> {
        let path = radio.0.as_str();
        let name = wifi.ssid.as_str().as_bytes();
        let until = Instant::now() + FIND_WITHIN;
        loop {
            let seen: Vec<OwnedObjectPath> =
                self.call(path, WIRELESS, "GetAllAccessPoints", &()).await?;
            for access_point in seen {
                // One that is gone meanwhile has no name any more.
                let ssid = self.get_bytes(access_point.as_str(), ACCESS_POINT, "Ssid").await;
                if ssid.is_ok_and(|ssid| ssid == name) {
                    return Ok(Some(access_point));
                }
            }
            if Instant::now() >= until {
                let not_found = || WifiRefusal::NotFound { ssid: wifi.ssid.to_string() };
                return if wifi.hidden { Ok(None) } else { Err(not_found()) };
            }
            let asked_for = if wifi.hidden { vec![name.to_vec()] } else { Vec::new() };
            let options = HashMap::from([("ssids", Variant::from(asked_for))]);
            let scan: Result<(), _> = self.call(path, WIRELESS, "RequestScan", &options).await;
            match scan {
                Err(WifiRefusal::NotPermitted) => return Err(WifiRefusal::NotPermitted),
                // It scans already, or has just done so.
                Ok(()) | Err(_) => sleep(SCAN_EVERY).await,
            }
        }
    }

    async fn settings<'a>(
        &self,
        wifi: &'a Wifi,
        access_point: Option<&OwnedObjectPath>,
    ) -> Result<Settings<'a>, WifiRefusal> {
        let automatic = || HashMap::from([("method", Variant::from("auto"))]);
        let mut settings = HashMap::from([
            (
                "connection",
                HashMap::from([
                    ("id", Variant::from(name_of(wifi))),
                    ("type", Variant::from("802-11-wireless")),
                    ("autoconnect", Variant::from(true)),
                ]),
            ),
            (
                "802-11-wireless",
                HashMap::from([
                    ("ssid", Variant::from(wifi.ssid.as_str().as_bytes().to_vec())),
                    ("mode", Variant::from("infrastructure")),
                    ("hidden", Variant::from(wifi.hidden)),
                ]),
            ),
            ("ipv4", automatic()),
            ("ipv6", automatic()),
        ]);
        if let Some(passphrase) = &wifi.passphrase {
            let management = self.key_management(access_point, passphrase).await?;
            let security = HashMap::from([
                ("key-mgmt", Variant::from(management)),
                ("psk", Variant::from(passphrase.reveal())),
            ]);
            settings.insert("802-11-wireless-security", security);
        }
        Ok(settings)
    }

    async fn key_management(
        &self,
        access_point: Option<&OwnedObjectPath>,
        passphrase: &Passphrase,
    ) -> Result<&'static str, WifiRefusal> {
        let Some(access_point) = access_point else { return Ok("wpa-psk") };
        let flags: u32 = self.get(access_point.as_str(), ACCESS_POINT, "RsnFlags").await?;
        let is_only_sae = flags & KEY_MANAGEMENT_SAE != 0 && flags & KEY_MANAGEMENT_PSK == 0;
        // WPA3 is joined by a phrase, not by the key that WPA2 makes of it.
        let is_phrase = passphrase.reveal().len() < 64;
        Ok(if is_only_sae && is_phrase { "sae" } else { "wpa-psk" })
    }

    /// Removes what an earlier code of the same network left. What cannot be removed stays.
    async fn forget_older(&self, newest: &OwnedObjectPath, name: &str) {
        let all: Result<Vec<OwnedObjectPath>, _> =
            self.call(SETTINGS_PATH, SETTINGS, "ListConnections", &()).await;
        for connection in all.unwrap_or_default().iter().filter(|it| *it != newest) {
            let path = connection.as_str();
            let known: Result<HashMap<String, HashMap<String, OwnedVariant>>, _> =
                self.call(path, CONNECTION, "GetSettings", &()).await;
            let id = known.ok().and_then(|mut it| it.get_mut("connection")?.remove("id"));
            if id.and_then(|id| String::try_from(id).ok()).as_deref() == Some(name) {
                let removed: Result<(), _> = self.call(path, CONNECTION, "Delete", &()).await;
                if let Err(error) = removed {
                    tracing::debug!(%error, "an older connection stays");
                }
            }
        }
    }

    /// Listens to the states that a device goes through.
    async fn states(&self, radio: &Radio) -> Result<States, WifiRefusal> {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .path(radio.0.as_str())
            .interface(DEVICE)
            .member("StateChanged")
            .build()
            .map_err(|error| refused(&error))?;
        let stream =
            MessageStream::for_match_rule(rule, &self.bus, NonZeroUsize::new(SIGNALS)).await;
        stream.map(States).map_err(|error| refused(&error))
    }

    async fn get<T>(&self, path: &str, interface: &str, name: &str) -> Result<T, WifiRefusal>
    where
        T: TryFrom<OwnedVariant, Error = zbus::Error>,
    {
        let value: OwnedVariant = self.call(path, PROPERTIES, "Get", &(interface, name)).await?;
        T::try_from(value).map_err(|error| refused(&error))
    }

    async fn get_bytes(
        &self,
        path: &str,
        interface: &str,
        name: &str,
    ) -> Result<Vec<u8>, WifiRefusal> {
        let value: OwnedVariant = self.call(path, PROPERTIES, "Get", &(interface, name)).await?;
        Vec::<u8>::try_from(value).map_err(|error| refused(&error))
    }

    async fn call<B, R>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<R, WifiRefusal>
    where
        B: Serialize + DynamicType,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let asked = self.bus.call_method(Some(MANAGER), path, Some(interface), method, body);
        let reply = asked.await.map_err(|error| refused(&error))?;
        reply.body().deserialize().map_err(|error| refused(&error))
    }
}

/// States of a device, as they come.
struct States(MessageStream);

impl States {
    /// Waits for the next state, and why it is.
    async fn next(&mut self) -> Result<(u32, u32), WifiRefusal> {
        let next = std::future::poll_fn(|context| Pin::new(&mut self.0).poll_next(context)).await;
        let message = next
            .ok_or_else(|| WifiRefusal::Failed("the connection to D-Bus is gone".to_owned()))?
            .map_err(|error| refused(&error))?;
        let (state, _, reason): (u32, u32, u32) =
            message.body().deserialize().map_err(|error| refused(&error))?;
        Ok((state, reason))
    }
}

/// What the connection is called in `NetworkManager`.
fn name_of(wifi: &Wifi) -> String {
    format!("nightjar {}", wifi.ssid)
}

/// What a device's reason (`NMDeviceStateReason`) is to who typed the network's name.
fn failure(reason: u32, wifi: &Wifi) -> WifiRefusal {
    let ssid = wifi.ssid.to_string();
    match reason {
        // No secrets, and the supplicant's ways to say that the other end did not like them.
        7..=11 if wifi.passphrase.is_some() => WifiRefusal::WrongPassphrase { ssid },
        // No configuration of IP; DHCP.
        5 | 15..=17 => WifiRefusal::NoAddress { ssid },
        53 => WifiRefusal::NotFound { ssid },
        _ => WifiRefusal::Failed(format!("NetworkManager gives the reason {reason} for {ssid}")),
    }
}

fn refused(error: &zbus::Error) -> WifiRefusal {
    let is_denied = match error {
        zbus::Error::MethodError(name, _, _) => name.as_str().ends_with(".PermissionDenied"),
        zbus::Error::FDO(error) => {
            matches!(**error, zbus::fdo::Error::AccessDenied(_) | zbus::fdo::Error::AuthFailed(_))
        }
        _ => false,
    };
    if is_denied { WifiRefusal::NotPermitted } else { WifiRefusal::Failed(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use nightjar_shared::wifi::WifiProblem;

    use super::*;

    #[test]
    fn a_device_s_reason_is_named_as_its_owner_needs_it() {
        let wifi: Wifi =
            serde_json::from_str(r#"{"ssid": "Home", "passphrase": "geheim-geheim"}"#).unwrap();
        for (reason, problem) in [
            (7, WifiProblem::WrongPassphrase),
            (8, WifiProblem::WrongPassphrase),
            (11, WifiProblem::WrongPassphrase),
            (5, WifiProblem::NoAddress),
            (17, WifiProblem::NoAddress),
            (53, WifiProblem::NotFound),
            (1, WifiProblem::Failed),
        ] {
            let refusal = failure(reason, &wifi);
            assert_eq!(refusal.problem(), problem, "{reason}");
            assert!(!refusal.to_string().contains("geheim") && !refusal.next_step().is_empty());
        }
        let open = Wifi { passphrase: None, ..wifi };
        assert_eq!(failure(7, &open).problem(), WifiProblem::Failed);
    }
}
