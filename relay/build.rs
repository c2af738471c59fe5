//! Embeds two things in the relay: the web app's files, so that a new one must bring a new build,
//! and an archive of the source that this build is made from, which the relay offers to its users
//! (docs/decisions/0037-the-relay-offers-its-source.md).

use std::{
    env,
    error::Error,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// All that the relay is made of: a change of these compiles it anew, so the archive is new, too.
/// The archive holds the whole repository; what else is in it may be as old as this build.
const MADE_OF: [&str; 9] = [
    "build.rs",
    "Cargo.toml",
    "src",
    "web",
    "../shared/src",
    "../shared/Cargo.toml",
    "../Cargo.toml",
    "../Cargo.lock",
    "../LICENSE",
];

fn main() -> Result<(), Box<dyn Error>> {
    for path in MADE_OF {
        println!("cargo::rerun-if-changed={path}");
    }
    let archive = PathBuf::from(env::var("OUT_DIR")?).join("source.tar.gz");
    if let Err(error) = pack(Path::new(".."), &archive) {
        println!("cargo::warning=the relay will not carry its source: {error}");
        fs::write(&archive, [])?;
    }
    Ok(())
}

/// Packs the files that git tracks below `root`, as they are in the working tree. Files that git
/// does not know stay out: a private key may lie among them.
fn pack(root: &Path, archive: &Path) -> Result<(), Box<dyn Error>> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output()?;
    if !listed.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr)).into());
    }
    let names = String::from_utf8(listed.stdout)?;
    let there: Vec<&str> = names
        .split_terminator('\0')
        .filter(|name| root.join(name).symlink_metadata().is_ok())
        .collect();
    if there.is_empty() {
        return Err("git tracks no file here".into());
    }
    let mut tar = Command::new("tar")
        .args(["--create", "--gzip", "--null", "--no-recursion", "--files-from=-"])
        .args(["--owner=0", "--group=0", "--numeric-owner"])
        .arg("--transform=flags=r;s,^,nightjar/,")
        .arg("--file")
        .arg(archive)
        .current_dir(root)
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = tar.stdin.take() {
        input.write_all(there.join("\0").as_bytes())?;
    }
    let status = tar.wait()?;
    if status.success() { Ok(()) } else { Err(format!("tar: {status}").into()) }
}
