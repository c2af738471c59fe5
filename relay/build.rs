//! The web app is embedded in the binary: a new file in `web/` must bring a new build.

fn main() {
    println!("cargo::rerun-if-changed=web");
    println!("cargo::rerun-if-changed=build.rs");
}
