//! Debian's Ceph as the store: `make test-suites`.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nightjar_relay::engines::{
    objects::{Objects, S3Store, S3StoreConfig},
    tls,
};

use super::{APP, misuse::Target};
use crate::support::client;

/// The gateway and what is behind it; all of it ends with this.
struct Radosgw {
    process: Child,
    endpoint: String,
    access_key: String,
    secret_key: String,
    _directory: tempfile::TempDir,
}

impl Radosgw {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_ports();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/radosgw");
        let mut process = Command::new(script)
            .arg(directory.path())
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (access_key, secret_key) = line.trim().split_once(' ').expect("radosgw started");
        Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            process,
            _directory: directory,
        }
    }

    fn store(&self) -> S3Store {
        S3Store::new(&S3StoreConfig {
            endpoint: self.endpoint.clone(),
            public_url: self.endpoint.clone(),
            region: "us-east-1".to_owned(),
            bucket: "clips".to_owned(),
            path_style: true,
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            ca_pem: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            encryption: None,
            app_origin: APP.to_owned(),
            keep_days: None,
        })
        .unwrap()
    }
}

impl Drop for Radosgw {
    fn drop(&mut self) {
        // The end of its standard input is what it waits for.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// A port whose successor is free, too.
fn free_ports() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

#[tokio::test]
#[ignore = "needs radosgw: make test-suites"]
async fn radosgw_is_prepared_probed_and_refuses_every_misuse_where_md5_is_signed() {
    tls::install_crypto_provider();
    let radosgw = Radosgw::start();
    let store = radosgw.store();
    let done = store.prepare().await.unwrap();
    assert_eq!(done[0], "bucket clips: made");
    assert_eq!(
        done.last().unwrap(),
        "the object store does not enforce: the SHA-256 of uploads (their MD5 is signed too)"
    );
    let again = store.prepare().await.unwrap();
    assert_eq!(again[0], "bucket clips: is there");
    let objects = Objects::from(store);
    objects.check().await.unwrap();
    assert!(objects.needs_md5(), "radosgw 16 stores other bytes under a signed SHA-256");
    let client = client().build().unwrap();
    let target = Target { objects: &objects, client: &client };
    assert!(target.takes_other_bytes_without_md5().await);
    assert_eq!(target.taken().await, Vec::<&str>::new());
    target.serves_what_is_permitted().await;
}
