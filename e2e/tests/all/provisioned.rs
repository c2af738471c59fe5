//! A board without a keyboard, whose init is systemd: what lies on its boot partition, a FAT of the kernel,
//! pairs it, also when cloud-init writes it there; and a card that is full or cannot be written is named.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{api::text, guest::Architecture, players::skipped, stack::Scenario};

use crate::installed::{APT, Board, EMULATED, STATE, configured, pack};

const VERSION: &str = "0.1.0~1";
const CARD: &str = "/boot/firmware";
const FILE: &str = "/boot/firmware/nightjar.toml";
const CARD_BYTES: u64 = 4 * 1024 * 1024;

/// Puts a card with a FAT into the board, which keeps it in its memory.
async fn insert_card(board: &mut Board) -> Result<bool> {
    let image = board.directory.join("card.img");
    fs::File::create(&image)?.set_len(CARD_BYTES)?;
    let made = Command::new("/usr/sbin/mkfs.vfat").arg(&image).output();
    if !made.is_ok_and(|made| made.status.success()) {
        skipped("there is no mkfs.vfat: build/install-packages test");
        return Ok(false);
    }
    let image = image.display();
    board
        .guest
        .run(&format!(
            "mkdir -p {CARD} && cp {image} /card.img && mount -t vfat -o loop,umask=0022 /card.img {CARD}"
        ))
        .await?;
    Ok(true)
}

/// What `doctor` says of provisioning.
async fn doctor(board: &mut Board) -> Result<String> {
    let (_, said) =
        board.guest.status_of("nightjar-agent doctor | grep -A1 ' provisioning:'").await?;
    Ok(said)
}

/// Writes a file onto the card as another machine would, then has something done, then starts the board's
/// unit; the file is not seen before.
async fn take(board: &mut Board, content: &str, then: &str) -> Result<()> {
    let path = board.directory.join("nightjar.toml");
    fs::write(&path, content)?;
    let path = path.display();
    board
        .guest
        .run(&format!(
            "systemctl stop nightjar-provision.path && cp {path} {FILE} && sync && {{ {then}; }} && \
             systemctl start nightjar-provision.service nightjar-provision.path"
        ))
        .await
        .map(drop)
}

fn file_of(secret: &str) -> String {
    format!("relay = \"http://localhost:1\"\nsecret = \"{secret}\"\n")
}

#[tokio::test]
#[ignore = "takes minutes in an emulated machine: make test-packages"]
async fn a_board_is_paired_by_the_file_on_its_card_also_beside_cloud_init() -> Result<()> {
    Scenario::run("provisioned", |directory| async move {
        let packages = pack(&directory, Architecture::Amd64, VERSION)?;
        let Some(mut board) = Board::boot(&directory, Architecture::Amd64).await? else {
            return Ok(());
        };
        if !insert_card(&mut board).await? {
            return board.stop().await;
        }
        board.publish(&packages).await?;
        board.guest.run(&format!("{APT} -y install nightjar-agent")).await?;
        board.guest.run(&configured(EMULATED)).await?;
        board.guest.run("systemctl restart nightjar-agent").await?;
        written_by_cloud_init(&mut board).await?;
        refused_when_it_comes_again(&mut board).await?;
        full_or_read_only(&mut board).await?;
        board.stop().await
    })
    .await
}

/// The agent's unit sees what cloud-init writes, at whatever moment of the boot.
async fn written_by_cloud_init(board: &mut Board) -> Result<()> {
    let pairing = board.open_pairing().await?;
    let file = text(&pairing, "provisioning").context("a pairing without a file")?;
    let secret = text(&pairing, "secret").context("a pairing without a secret")?;
    let lines = file.lines().collect::<Vec<_>>().join("\n      ");
    let seed = board.directory.join("seed");
    fs::create_dir_all(&seed)?;
    let data = format!(
        "#cloud-config\nhostname: porch\nwrite_files:\n  - path: {FILE}\n    content: |\n      {lines}\n"
    );
    fs::write(seed.join("user-data"), data)?;
    fs::write(seed.join("meta-data"), "instance-id: porch\n")?;
    fs::write(board.directory.join("first.toml"), &file)?;
    let seed = seed.display();
    board
        .guest
        .run(&format!(
            "mkdir -p /var/lib/cloud/seed && cp -r {seed} /var/lib/cloud/seed/nocloud && \
             rm /etc/cloud/cloud-init.disabled && cloud-init init --local && cloud-init init && \
             cloud-init status --long; hostname; [ \"$(hostname)\" = porch ]"
        ))
        .await?;
    board.until(&format!("[ -e {STATE}/pairing.json ]")).await?;
    board.know_camera_of(&pairing).await?;
    board.online().await?;
    board
        .guest
        .run(&format!("[ ! -e {FILE} ] && sync && ! grep -q '{secret}' /card.img"))
        .await
        .context("the secret still lies on the card")?;
    let said = doctor(board).await?;
    ensure!(said.contains("paired with"), "{said}");
    Ok(())
}

/// Seen by the path unit alone.
async fn refused_when_it_comes_again(board: &mut Board) -> Result<()> {
    let first = board.directory.join("first.toml");
    board.guest.run(&format!("cp {} {FILE}", first.display())).await?;
    board.until(&format!("[ ! -e {FILE} ]")).await?;
    board.until("nightjar-agent doctor | grep -q 'was used before'").await
}

async fn full_or_read_only(board: &mut Board) -> Result<()> {
    let secret = "ZnVsbC1mdWxsLWZ1bGwt";
    let fill = format!("dd if=/dev/zero of={CARD}/full bs=64k 2>/dev/null || true");
    take(board, &file_of(secret), &fill).await?;
    board
        .guest
        .run(&format!(
            "[ ! -e {FILE} ] && sync && ! grep -q '{secret}' /card.img && rm {CARD}/full"
        ))
        .await
        .context("on a full card it was not wiped")?;

    let locked = format!("mount -o remount,ro {CARD}");
    take(board, &file_of("bG9ja2VkLWxvY2tlZC1s"), &locked).await?;
    let said = doctor(board).await?;
    ensure!(said.contains("could not be wiped") && said.contains("delete it by hand"), "{said}");
    board.guest.run(&format!("mount -o remount,rw {CARD} && [ -e {FILE} ]")).await?;
    // Now it can be wiped, and is at the next start.
    board.guest.run("systemctl start nightjar-provision.service").await?;
    board.guest.run(&format!("[ ! -e {FILE} ]")).await?;
    let said = doctor(board).await?;
    ensure!(!said.contains("could not be wiped"), "{said}");
    Ok(())
}
