//! The packages of the workspace, and who owns what in them. A change here is a change of the
//! architecture: it goes with docs/architecture.md, and a new crate with a docs/decisions/ page.

use crate::rules::{Package, Passage};

pub(crate) const PACKAGES: [Package; 7] = [SHARED, CORE, AGENT, RELAY, DEMO, E2E, WORLD];

const SHARED: Package = Package {
    folder: "shared",
    library: "nightjar_shared",
    rows: &[],
    passages: &[],
    owners: &[("unicode_normalization", &["text.rs"])],
    // No tokio, no HTTP, no SQL, no GStreamer. utoipa is behind a feature that the relay alone switches
    // on: it describes the messages in the API's document.
    vocabulary: &["serde", "serde_json", "thiserror", "utoipa", "uuid"],
    strangers: &[
        "nightjar_core",
        "nightjar_agent",
        "nightjar_relay",
        "nightjar_e2e",
        "nightjar_world",
    ],
    permitted_circles: &[],
    sql: &[],
};

/// What the agent decides and computes. The dependencies keep tokio, GStreamer and SQL away from
/// it; of the standard library, files, sockets, threads and the environment belong to nobody here.
/// Clocks are forbidden by its `clippy.toml`.
const CORE: Package = Package {
    folder: "agent/core",
    library: "nightjar_core",
    rows: &[
        &["motion", "rtp"],
        &["mp4", "picture", "schedule"],
        &["monotonic", "backoff", "seeded"],
    ],
    passages: &[],
    owners: &[
        ("jiff", &["schedule.rs"]),
        ("std::env", &[]),
        ("std::fs", &[]),
        ("std::net", &[]),
        ("std::os", &[]),
        ("std::process", &[]),
        ("std::thread", &[]),
    ],
    vocabulary: &["nightjar_shared", "bytes", "serde", "thiserror"],
    strangers: &["nightjar_agent", "nightjar_relay", "nightjar_e2e", "nightjar_world"],
    permitted_circles: &[],
    sql: &[],
};

const AGENT: Package = Package {
    folder: "agent",
    library: "nightjar_agent",
    rows: &[
        &["cli"],
        &["app"],
        &["shutdown"],
        &["motion", "record", "live", "upload", "uplink"],
        &["webrtc", "film"],
        &["encode"],
        &["capture", "store", "cloud"],
        &["identity", "pairing"],
        &["tls", "private_file", "data_dir"],
        &["motion_change", "config", "logging"],
        &["clock", "file_system", "machine", "lock", "stills"],
    ],
    passages: &[],
    owners: &[
        ("v4l", &["capture/"]),
        ("gstreamer", &["capture/", "encode/", "film/", "webrtc/"]),
        ("gstreamer_app", &["capture/", "encode/", "film/", "webrtc/"]),
        ("gstreamer_video", &["capture/", "encode/", "film/", "webrtc/"]),
        ("gstreamer_sdp", &["webrtc/"]),
        ("gstreamer_webrtc", &["webrtc/"]),
        ("rtc_srtp", &["webrtc/srtp.rs"]),
        ("rumqttc", &["uplink/mqtt"]),
        ("rusqlite", &["store/"]),
        ("md5", &["upload/digest.rs"]),
        ("reqwest", &["cloud/"]),
        ("http", &["cloud/simulated.rs"]),
        ("clap", &["cli", "main.rs"]),
        ("ed25519_dalek", &["identity.rs"]),
        ("rustls", &["tls.rs", "cloud/error.rs", "uplink/mqtt"]),
        ("rustls_native_certs", &["tls.rs"]),
        ("rustls_pki_types", &["tls.rs", "webrtc/certificate.rs"]),
        ("landlock", &["live/worker/confine.rs"]),
        ("libc", &["live/worker/confine"]),
        ("seccompiler", &["live/worker/confine"]),
        ("sd_notify", &["shutdown.rs"]),
        ("toml", &["config.rs", "pairing.rs", "uplink/claim.rs"]),
        ("tracing_subscriber", &["logging.rs"]),
    ],
    vocabulary: &[
        "nightjar_core",
        "nightjar_shared",
        "anyhow",
        "base64",
        "bytes",
        "getrandom",
        "hex",
        "rustix",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
        "tokio",
        "tokio_util",
        "tracing",
        "uuid",
    ],
    strangers: &["nightjar_relay", "nightjar_e2e", "nightjar_world"],
    permitted_circles: &[],
    sql: &["store/"],
};

const RELAY: Package = Package {
    folder: "relay",
    library: "nightjar_relay",
    rows: &[
        &["cli"],
        &["wiring"],
        &["doors"],
        &["domain"],
        &["app"],
        &["error"],
        &["engines"],
        &["config", "shutdown", "logging"],
        &["blocking", "clock", "network", "space"],
    ],
    passages: &[
        // A door knows the engine that brings it its traffic; for everything else it asks the domain.
        Passage {
            from: "doors",
            to: "engines",
            open: &[
                ("doors/mqtt", "broker"),
                ("doors/websocket", "realtime"),
                ("doors/server", "metrics"),
            ],
        },
        // Engines do not know each other, only what all of them need.
        Passage {
            from: "engines",
            to: "engines",
            open: &[("engines/", "private_file"), ("engines/", "metrics")],
        },
    ],
    owners: &[
        ("axum", &["doors/"]),
        ("utoipa", &["doors/", "domain/"]),
        ("utoipa_axum", &["doors/"]),
        ("flate2", &["doors/web.rs"]),
        ("include_dir", &["doors/web.rs"]),
        ("hyper_util", &["doors/server", "engines/objects/embedded"]),
        ("hyper", &["doors/server", "engines/objects/embedded"]),
        ("tokio_rustls", &["doors/server", "engines/tls.rs", "engines/turn/embedded"]),
        ("tower", &["doors/"]),
        ("rmqtt", &["engines/broker/embedded"]),
        ("rusqlite", &["engines/db/"]),
        ("tokio_postgres", &["engines/db/"]),
        ("deadpool_postgres", &["engines/db/"]),
        ("s3s", &["engines/objects/embedded"]),
        ("rusty_s3", &["engines/objects/"]),
        ("turn_server_proto", &["engines/turn/embedded"]),
        ("aws_lc_rs", &["engines/turn/credentials.rs"]),
        ("rcgen", &["engines/tls"]),
        ("x509_parser", &["engines/tls/authority.rs"]),
        ("rustls", &["engines/tls.rs", "engines/turn/embedded", "doors/server.rs"]),
        ("rustls_pki_types", &["engines/tls.rs"]),
        ("url", &["config/urls.rs"]),
        ("ppp", &["doors/server/proxy_header.rs"]),
        ("argon2", &["app/passwords.rs"]),
        ("idna", &["domain/email.rs"]),
        ("ed25519_dalek", &["domain/"]),
        ("clap", &["cli", "main.rs"]),
        ("jiff", &["engines/objects/"]),
        ("md5", &["engines/objects/"]),
        ("reqwest", &["engines/objects/s3/client.rs"]),
        ("sd_notify", &["shutdown.rs"]),
        ("toml", &["config", "domain/pairings.rs"]),
        ("tracing_subscriber", &["logging.rs"]),
    ],
    vocabulary: &[
        "nightjar_shared",
        "anyhow",
        "async_trait",
        "base64",
        "bytes",
        "futures",
        "getrandom",
        "hex",
        "http",
        "http_body_util",
        "rustix",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
        "tokio",
        "tokio_util",
        "tracing",
        "uuid",
    ],
    strangers: &["nightjar_agent", "nightjar_core", "nightjar_e2e", "nightjar_world"],
    permitted_circles: &[],
    sql: &["engines/db/"],
};

/// Starts the others as processes; `make demo` is made of it.
const DEMO: Package = Package {
    folder: "e2e/demo",
    library: "nightjar_demo",
    rows: &[],
    passages: &[],
    owners: &[],
    vocabulary: &[],
    strangers: &["nightjar_agent", "nightjar_core", "nightjar_relay", "nightjar_e2e"],
    permitted_circles: &[],
    sql: &[],
};

/// Starts the others as processes and speaks to them from outside: it may use any client.
const E2E: Package = Package {
    folder: "e2e",
    library: "nightjar_e2e",
    rows: &[],
    passages: &[],
    owners: &[],
    vocabulary: &[],
    strangers: &["nightjar_agent", "nightjar_core", "nightjar_relay", "nightjar_world"],
    permitted_circles: &[],
    sql: &[],
};

/// The one package that knows both sides: it is what is between them, and looks at their databases
/// from aside.
const WORLD: Package = Package {
    folder: "e2e/world",
    library: "nightjar_world",
    rows: &[],
    passages: &[],
    owners: &[],
    vocabulary: &[],
    strangers: &["nightjar_e2e"],
    // The world holds its parts, and they act on it.
    permitted_circles: &[
        ("broker.rs", "world.rs"),
        ("camera.rs", "broker.rs"),
        ("camera.rs", "http.rs"),
        ("camera.rs", "live.rs"),
        ("camera.rs", "recorder.rs"),
        ("camera.rs", "world.rs"),
        ("faults.rs", "camera.rs"),
        ("http.rs", "world.rs"),
        ("live.rs", "world.rs"),
        ("recorder.rs", "camera.rs"),
        ("recorder.rs", "world.rs"),
        ("world.rs", "broker.rs"),
        ("world.rs", "camera.rs"),
        ("world.rs", "faults.rs"),
    ],
    sql: &["check.rs", "faults.rs"],
};
