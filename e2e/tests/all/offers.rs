//! Offers as programs write them, through the WHEP door to an answer that fits.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    stack::{Scenario, Stack},
};

const SDP: &str = "application/sdp";

/// One `m=` section of a description.
struct Section<'a> {
    kind: &'a str,
    port: &'a str,
    protocol: &'a str,
    formats: Vec<&'a str>,
    lines: Vec<&'a str>,
}

impl<'a> Section<'a> {
    fn all(text: &'a str) -> Vec<Self> {
        let mut sections: Vec<Self> = Vec::new();
        for line in text.lines().map(str::trim_end) {
            if let Some(header) = line.strip_prefix("m=") {
                let mut words = header.split(' ');
                let mut word = || words.next().unwrap_or_default();
                let (kind, port, protocol) = (word(), word(), word());
                sections.push(Self {
                    kind,
                    port,
                    protocol,
                    formats: words.collect(),
                    lines: vec![],
                });
            } else if let Some(section) = sections.last_mut() {
                section.lines.push(line);
            }
        }
        sections
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        let prefix = format!("a={key}:");
        self.lines.iter().find_map(|line| line.strip_prefix(prefix.as_str()))
    }

    fn has(&self, line: &str) -> bool {
        self.lines.contains(&line)
    }

    fn is_rejected(&self) -> bool {
        self.port == "0"
    }
}

fn group(text: &str) -> Vec<&str> {
    let line = text.lines().find_map(|line| line.trim_end().strip_prefix("a=group:BUNDLE "));
    line.map(|names| names.split(' ').collect()).unwrap_or_default()
}

/// What RFC 3264, 8829, 8842, 8285 and 9143 ask of an answer.
fn check_answer(offer: &str, answer: &str) -> Result<()> {
    let (offered, answered) = (Section::all(offer), Section::all(answer));
    ensure!(offered.len() == answered.len(), "{} sections", answered.len());
    for (asked, said) in offered.iter().zip(&answered) {
        ensure!((asked.kind, asked.protocol) == (said.kind, said.protocol), "{}", said.protocol);
        ensure!(asked.get("mid") == said.get("mid"), "mid {:?}", said.get("mid"));
        ensure!(said.formats.iter().all(|it| asked.formats.contains(it)), "{:?}", said.formats);
        ensure!(!said.formats.is_empty(), "no format");
        let disabled = asked.port == "0" && !asked.has("a=bundle-only");
        ensure!(!disabled || said.is_rejected(), "a disabled section is answered");
    }
    let accepted: Vec<_> = answered.iter().filter(|section| !section.is_rejected()).collect();
    let mids: Vec<_> = accepted.iter().filter_map(|section| section.get("mid")).collect();
    let (suggested, grouped) = (group(offer), group(answer));
    if suggested.is_empty() {
        ensure!(grouped.is_empty() && accepted.len() == 1, "a group that was not offered");
    } else {
        let order: Vec<_> = suggested.into_iter().filter(|mid| mids.contains(mid)).collect();
        ensure!(grouped == order, "BUNDLE {grouped:?}, and not {order:?}");
    }
    let video = answered.iter().position(|section| section.has("a=sendonly"));
    let video = video.context("no section that sends")?;
    check_video(offer, &offered[video], answer, &answered[video])
}

fn check_video(offer: &str, asked: &Section<'_>, answer: &str, said: &Section<'_>) -> Result<()> {
    ensure!(said.kind == "video" && !said.is_rejected(), "{} sends", said.kind);
    let payload = said.formats[0];
    let codec = format!("a=rtpmap:{payload} H264/90000");
    ensure!(asked.lines.iter().any(|line| line.eq_ignore_ascii_case(&codec)), "{payload}");
    ensure!(said.has(&codec), "no {codec}");
    let format = |section: &Section<'_>| {
        let prefix = format!("a=fmtp:{payload} ");
        let line = section.lines.iter().find_map(|line| line.strip_prefix(prefix.as_str()));
        line.unwrap_or_default().to_ascii_lowercase()
    };
    let parameter = |text: &str, key: &str| {
        let found =
            text.split(';').find_map(|pair| pair.trim().strip_prefix(key)?.strip_prefix('='));
        found.map(str::to_owned)
    };
    let (wanted, told) = (format(asked), format(said));
    let profile = |text: &str| parameter(text, "profile-level-id");
    ensure!(profile(&wanted) == profile(&told), "{wanted} answered by {told}");
    ensure!(parameter(&told, "packetization-mode").as_deref() == Some("1"), "{told}");

    let setup = asked.get("setup").or_else(|| offer.split("a=setup:").nth(1)?.lines().next());
    let setup = setup.map(str::to_ascii_lowercase);
    let fits = match setup.as_deref() {
        Some("passive") => said.get("setup") == Some("active"),
        Some("actpass") => ["active", "passive"].map(Some).contains(&said.get("setup")),
        _ => said.get("setup") == Some("passive"),
    };
    ensure!(fits, "setup {setup:?} answered by {:?}", said.get("setup"));
    ensure!(said.has("a=rtcp-mux"), "no rtcp-mux");
    for key in ["ice-ufrag", "ice-pwd", "fingerprint"] {
        ensure!(said.get(key).is_some(), "no {key}");
    }
    ensure!(answer.contains("a=candidate:"), "no way to the camera");
    for extension in said.lines.iter().filter_map(|line| line.strip_prefix("a=extmap:")) {
        let (number, uri) = extension.split_once(' ').context("an extension without a name")?;
        let id = number.split('/').next().unwrap_or_default();
        let offered = asked.lines.iter().filter_map(|line| line.strip_prefix("a=extmap:"));
        let mut offered = offered.filter_map(|line| line.split_once(' '));
        let as_asked = offered.find(|(_, asked)| asked.split(' ').next() == Some(uri));
        let (asked_number, _) = as_asked.with_context(|| format!("{uri} was not offered"))?;
        ensure!(asked_number.split('/').next() == Some(id), "{extension} for {asked_number}");
        let one_way = asked_number.ends_with("/recvonly");
        ensure!(one_way == number.ends_with("/sendonly"), "{extension} for {asked_number}");
    }
    Ok(())
}

#[tokio::test]
async fn offers_as_programs_write_them_get_an_answer_that_fits_and_others_the_exact_reason()
-> Result<()> {
    Scenario::run("offers", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let whep = stack.camera_path("whep");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tests/offers");
        for entry in fs::read_dir(&folder).context("no offers")? {
            let path = entry?.path();
            let offer = fs::read_to_string(&path)?;
            let name = path.display();
            let answer = stack.owner.post_text(&whep, SDP, offer.clone()).await?;
            let answer = answer.expect(201).with_context(|| format!("{name}"))?;
            let location = answer.location.context("no location")?;
            check_answer(&offer, &answer.text)
                .with_context(|| format!("{name}:\n{offer}\nis answered by\n{}", answer.text))?;
            stack.owner.delete(&location).await?.expect(200)?;
        }
        let chromium = fs::read_to_string(folder.join("chromium.sdp"))?;
        for (from, to, status, code) in [
            ("H264", "VP8", 422, "no_common_codec"),
            ("packetization-mode=1", "packetization-mode=0", 422, "no_common_codec"),
            ("a=recvonly", "a=sendonly", 422, "no_video_section"),
            ("m=video 9", "m=video 0", 422, "no_video_section"),
            ("a=ice-pwd:EUdRm", "a=ice-pwd:", 422, "incomplete_offer"),
            ("a=rtcp-mux", "a=x-rtcp-mux", 422, "unsupported_offer"),
            ("actpass", "holdconn", 422, "unsupported_offer"),
            ("sha-256", "sha-1", 422, "unsupported_offer"),
            ("t=0 0", "y=0 0", 422, "invalid_sdp"),
            ("t=0 0\r\n", &"a=x\r\n".repeat(990), 413, "too_large"),
        ] {
            let other = chromium.replace(from, to);
            ensure!(other != chromium, "{from} is not in it");
            let answer = stack.owner.post_text(&whep, SDP, other).await?;
            ensure!(answer.status == status && answer.code() == code, "{to}: {answer:?}");
        }
        Ok(())
    })
    .await
}
