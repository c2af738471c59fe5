//! What the docs show as a configuration is one that the relay takes.

use std::{fs, path::Path};

use nightjar_relay::config::Config;

/// Begins what is no configuration of the relay: it names the file that it is.
const ANOTHER_FILE: &str = "# /etc/nightjar/";

/// The blocks of TOML on a page that are for the relay.
fn samples(page: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = fs::read_to_string(path).unwrap();
    let blocks = text.split("```toml\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap().to_owned());
    blocks.filter(|block| !block.starts_with(ANOTHER_FILE)).collect()
}

/// The same with what stands there as a comment, if it is a key and its value.
fn with_all_keys(sample: &str) -> String {
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.split(' ').nth(1) == Some("=") => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let text: String = sample.lines().map(line).collect();
    // The PROXY protocol is for somebody.
    let named = text.contains("trusted_proxies =");
    let proxies = if named { "" } else { "trusted_proxies = [\"127.0.0.1\"]\n" };
    format!("{proxies}{text}")
}

#[test]
fn every_configuration_in_the_docs_is_taken_with_and_without_what_it_leaves_out() {
    for (page, least) in [("operations.md", 5), ("proxies.md", 1)] {
        let samples = samples(page);
        assert!(samples.len() >= least, "{page}: {} samples", samples.len());
        for sample in samples {
            for text in [sample.clone(), with_all_keys(&sample)] {
                if let Err(error) = Config::parse(&text, Path::new(page)) {
                    panic!("{error}\n{text}");
                }
            }
        }
    }
}
