//! Joining a Wi-Fi by the real `NetworkManager`, in a guest with the kernel's simulated radios: two access
//! points, a client, and the agent's user with the rule that the package brings.

use std::path::Path;

use anyhow::{Result, ensure};
use nightjar_e2e::{
    guest::{Guest, Machine, made},
    programs,
    stack::Scenario,
};

/// What the guest is set up with: `e2e/tests/all/wifi.sh`.
const SET_UP: &str = include_str!("wifi.sh");

/// Ciphers of WPA2, which the kernel would fetch by itself, and three radios.
const MODULES: [&str; 5] = ["ctr", "ccm", "cmac", "gcm", "mac80211_hwsim radios=3"];

struct Board(Guest);

impl Board {
    /// Joins a network as a user; gives the exit status and what was said.
    async fn join(&mut self, user: &str, how: &str, passphrase: &str) -> Result<(String, String)> {
        let order = format!(
            "printf '%s\\n' '{passphrase}' | setpriv --reuid={user} --clear-groups \
             \"$AGENT\" wifi --data-dir /run/data {how} 2>&1"
        );
        self.0.status_of(&order).await
    }

    #[track_caller]
    fn refused((status, said): &(String, String), words: &str) -> Result<()> {
        ensure!(status == "1" && said.contains(words), "{status}: {said}");
        Ok(())
    }

    /// The connection that is up.
    async fn active(&mut self) -> Result<String> {
        let order = "nmcli -t -f NAME,DEVICE connection show --active | sed -n 's/:wlan0$//p'";
        Ok(self.0.run(order).await?.trim().to_owned())
    }
}

#[tokio::test]
#[ignore = "takes minutes in an emulated processor: make test-wifi"]
async fn a_wi_fi_is_joined_and_the_one_before_comes_back_when_another_fails() -> Result<()> {
    Scenario::run("wifi", |directory| async move {
        // NetworkManager and an access point.
        let Some(packages) = made("wifi-guest", &[])? else { return Ok(()) };
        let machine = Machine {
            modules: MODULES.map(Into::into).to_vec(),
            device: Some("/sys/class/net/wlan2"),
            ..Machine::default()
        };
        let Some(guest) = Guest::boot(&directory, &machine)? else { return Ok(()) };
        let mut board = Board(guest);
        let rule = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/50-nightjar-agent.rules");
        let set_up = format!(
            "PACKAGES={} RULE={} AGENT={} DIRECTORY={}\n{SET_UP}",
            packages.display(),
            rule.display(),
            programs::find("nightjar-agent")?.display(),
            directory.display()
        );
        board.0.run(&set_up).await?;

        let agent = "nightjar-agent";
        let stranger = board.join("nobody", "--ssid Home", "right-right").await?;
        Board::refused(&stranger, "does not let the agent's user")?;

        let joined = board.join(agent, "--ssid Home", "right-right").await?;
        ensure!(joined.0 == "0", "{joined:?}");
        ensure!(board.active().await? == "nightjar Home", "{}", board.active().await?);
        board.0.run("ip -4 addr show wlan0 | grep -q 'inet 10.9.1.'").await?;
        board.0.run("ls /etc/NetworkManager/system-connections/ | grep -q 'nightjar Home'").await?;

        let wrong = board.join(agent, "--ssid Other", "wrong-wrong").await?;
        Board::refused(&wrong, "does not take the passphrase")?;
        ensure!(!wrong.1.contains("wrong-wrong"), "{}", wrong.1);
        board.0.run("nm-online -q -t 40; true").await?;
        board.0.run("wait_for 40 is_active 'nightjar Home'").await?;
        let kept = board.0.run("nmcli -t -f NAME connection show").await?;
        ensure!(!kept.contains("nightjar Other"), "what failed was kept: {kept}");

        let missing = board.join(agent, "--ssid Nowhere", "right-right").await?;
        Board::refused(&missing, "is not to be found")?;
        board.0.run("wait_for 40 is_active 'nightjar Home'").await?;

        let hidden = board.join(agent, "--ssid Other --hidden", "right-other").await?;
        ensure!(hidden.0 == "0", "{hidden:?}");
        ensure!(board.active().await? == "nightjar Other", "{}", board.active().await?);
        let again = board.join(agent, "--ssid Home", "right-right").await?;
        ensure!(again.0 == "0", "{again:?}");
        let known = board.0.run("nmcli -t -f NAME connection show").await?;
        ensure!(known.matches("nightjar Home").count() == 1, "the older one stayed: {known}");

        board.0.run("nmcli radio wifi off").await?;
        let off = board.join(agent, "--ssid Home", "right-right").await?;
        Board::refused(&off, "the radio is switched off")?;
        board.0.run("nmcli radio wifi on; kill $(cat /run/nm.pid); wait_for 10 no_manager").await?;
        let gone = board.join(agent, "--ssid Home", "right-right").await?;
        Board::refused(&gone, "no NetworkManager that runs")?;
        board.0.stop().await
    })
    .await
}
