//! An update on its way to a camera: signed and offered by the relay's program, asked for in the app,
//! downloaded, checked, and laid down for the installer. What the installer does is
//! `agent/update/tests`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings},
    browser::{Browser, Page, test_id},
    programs,
    relay::{Place, Ports},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_mins(1);
const OLD: &str = "0.1.0-1";
const NEW: &str = "0.2.0-1";
/// Takes some seconds at the pace of downloads.
const PACKAGE_BYTES: usize = 3_000_000;

/// Runs a program to its end, and gives what it said.
fn run(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{} {arguments:?}: {said}", program.display());
    Ok(said)
}

fn architecture() -> Result<String> {
    Ok(run(Path::new("dpkg"), &["--print-architecture"])?.trim().to_owned())
}

/// A system on which dpkg has installed the old version, and whose owner trusts `keys`.
fn system(directory: &Path, keys: &str) -> Result<PathBuf> {
    let root = directory.join("root");
    fs::create_dir_all(root.join("var/lib/dpkg"))?;
    fs::create_dir_all(root.join("etc/nightjar"))?;
    let status = format!(
        "Package: nightjar-agent\nStatus: install ok installed\nMaintainer: Tests <t@example.org>\n\
         Architecture: {}\nVersion: {OLD}\nDescription: the agent\n",
        architecture()?
    );
    fs::write(root.join("var/lib/dpkg/status"), status)?;
    fs::write(root.join("etc/nightjar/update.toml"), keys)?;
    Ok(root)
}

/// A package that does not shrink.
fn package(directory: &Path) -> Result<PathBuf> {
    let (work, architecture) = (directory.join("work"), architecture()?);
    fs::create_dir_all(work.join("DEBIAN"))?;
    let control = format!(
        "Package: nightjar-agent\nVersion: {NEW}\nArchitecture: {architecture}\n\
         Maintainer: Tests <t@example.org>\nDescription: the agent\n"
    );
    fs::write(work.join("DEBIAN/control"), control)?;
    let mut content = vec![0; PACKAGE_BYTES];
    getrandom::fill(&mut content).map_err(|error| anyhow::anyhow!("no chance: {error}"))?;
    fs::write(work.join("content"), content)?;
    let path = directory.join(format!("nightjar-agent_{NEW}_{architecture}.deb"));
    let [from, to] = [&work, &path].map(|path| path.to_string_lossy().into_owned());
    run(Path::new("dpkg-deb"), &["--root-owner-group", "-Znone", "--build", &from, &to])?;
    Ok(path)
}

/// How far the camera is, as the app sees it.
async fn update_is(stack: &Stack, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
    let last = std::cell::RefCell::new(Value::Null);
    let seen = wait::until(what, SOON, async || {
        let answer = stack.owner.get(&stack.camera_path("update")).await?.expect(200)?.json();
        *last.borrow_mut() = answer.clone();
        Ok(is_it(&answer).then_some(answer))
    });
    seen.await.with_context(|| format!("last: {}", last.borrow()))
}

async fn refused_for(stack: &Stack, problem: &str) -> Result<Value> {
    let is_it = |update: &Value| update["state"] == "refused" && update["problem"] == problem;
    update_is(stack, &format!("the update is refused: {problem}"), is_it).await
}

async fn update_now(stack: &Stack) -> Result<()> {
    stack.owner.command_done(&stack.camera_id, "update", json!({})).await.map(drop)
}

/// Waits until the camera's page says something of its updates.
async fn says(page: &Page, words: &str) -> Result<()> {
    wait::until_true(&format!("the page says: {words}"), SOON, async || {
        let line = page.text(&test_id("update-line")).await?;
        ensure!(line.contains(words), "{line}");
        Ok(true)
    })
    .await
}

/// Opens the camera's page, where the refusal stands, and asks for the update there.
async fn ask_in_the_app(browser: &Browser, stack: &Stack) -> Result<Page> {
    let page = browser.open(&stack.relay.url()).await?;
    page.sign_in(EMAIL, PASSWORD).await?;
    page.shows(&test_id("camera-card"), SOON).await?;
    page.go(&format!("{}/cameras/{}", stack.relay.url(), stack.camera_id)).await?;
    page.shows(&test_id("update-now"), SOON).await?;
    says(&page, "refused").await?;
    page.tap(&test_id("update-now")).await?;
    Ok(page)
}

/// What the installer alone sees is no reason to download the same again whenever the relay offers it.
async fn refused_by_the_installer(stack: &Stack, root: &Path, spool: &Path) -> Result<()> {
    let told = root.join("var/lib/nightjar-update/status.json");
    fs::create_dir_all(told.parent().context("a file in no directory")?)?;
    let request = spool.join("request.json");
    for detail in ["the package made of the installed version cannot be read", "it still cannot"] {
        let status = json!({"state": "refused", "problem": "no_way_back", "detail": detail});
        fs::write(&told, status.to_string())?;
        fs::remove_file(&request).ok();
        update_is(stack, "the installer's refusal is told", |it| it["detail"] == detail).await?;
    }
    ensure!(!request.exists(), "it was downloaded in vain");
    update_now(stack).await?;
    update_is(stack, "a person has it tried again", |it| it["state"] == "waiting").await.map(drop)
}

#[tokio::test]
async fn an_update_is_downloaded_checked_and_laid_down_for_the_installer() -> Result<()> {
    Scenario::run("updates", |directory| async move {
        let relay = programs::find("nightjar-relay")?;
        let place = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let own = run(&relay, &["admin", "release", "keygen", &place("maker.pem")])?;
        let foreign = run(&relay, &["admin", "release", "keygen", &place("foreign.pem")])?;
        let root = system(&directory, &foreign)?;
        let mut agent = Agent::prepare(&directory, &Settings::still())?;
        agent.believe(root.clone());
        let mut stack =
            Stack::start_with(&directory, Place::loopback(Ports::free()?), agent, PASSWORD).await?;

        let package = package(&directory)?;
        let path = package.to_string_lossy().into_owned();
        let release = |arguments: &[&str]| {
            let config = place("relay.toml");
            run(&relay, &[&["--config", &config, "admin", "release"], arguments].concat())
        };
        release(&["sign", &path, "--key", &place("maker.pem")])?;
        release(&["add", &path])?;
        release(&["stage", NEW, "--percent", "0"])?;

        let spool = stack.agent.data_dir().join("update");
        update_now(&stack).await?;
        let refused = refused_for(&stack, "foreign_signer").await?;
        ensure!(refused["version"] == OLD && refused["available"] == NEW, "{refused}");
        ensure!(!spool.join("request.json").exists(), "a foreign package was handed over");
        let doctor = stack.agent.doctor()?;
        ensure!(doctor["checks"].to_string().contains("update_refused"), "{doctor}");

        fs::write(root.join("etc/nightjar/update.toml"), own)?;
        update_now(&stack).await?;
        let partial = wait::until("a part of the package is there", SOON, async || {
            let entries = fs::read_dir(&spool)?.flatten().map(|entry| entry.path());
            let is_part = |path: &PathBuf| {
                path.to_string_lossy().contains("partial-")
                    && path.metadata().is_ok_and(|found| found.len() > 100_000)
            };
            Ok(entries.into_iter().find(is_part))
        })
        .await?;
        stack.agent.kill();
        // What is there is not read again: the damage shows at the end, and then all is.
        let mut content = fs::read(&partial)?;
        ensure!(content.len() < PACKAGE_BYTES, "the download was over before it was cut off");
        content[0] ^= 1;
        fs::write(&partial, content)?;
        stack.agent.start()?;
        stack.owner.camera_is(&stack.camera_id, "online", SOON).await?;
        update_now(&stack).await?;
        refused_for(&stack, "tampered").await?;
        ensure!(!spool.join("request.json").exists(), "a damaged package was handed over");

        let browser = Browser::start(&directory).await?;
        let page = ask_in_the_app(&browser, &stack).await?;
        update_is(&stack, "the update waits for the installer", |update| {
            update["state"] == "waiting" && update["target"] == NEW
        })
        .await?;
        ensure!(spool.join("request.json").exists(), "there is no request");
        ensure!(fs::read(spool.join("package.deb"))? == fs::read(&package)?, "other bytes");
        says(&page, "about to be installed").await?;
        page.tap(&test_id("update-automatic")).await?;
        update_is(&stack, "updates are off", |update| update["automatic"] == false).await?;
        let healthy = stack.agent.doctor()?;
        ensure!(!healthy["checks"].to_string().contains("update_refused"), "{healthy}");

        // The installer takes it, refuses it, and says of it what it said of the one before.
        fs::remove_file(spool.join("request.json"))?;
        update_is(&stack, "it waits no longer", |update| update["state"] == "idle").await?;
        update_now(&stack).await?;
        update_is(&stack, "the next one waits", |update| update["state"] == "waiting").await?;
        ensure!(spool.join("request.json").exists(), "it was not laid down again");

        refused_by_the_installer(&stack, &root, &spool).await?;
        stack.stop().await;
        Ok(())
    })
    .await
}
