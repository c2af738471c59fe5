//! What the relay reaches for users, and what it never does: private addresses in every spelling, names
//! that change their mind, servers that misbehave.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{HeaderMap, Method};
use nightjar_relay::engines::{
    outgoing::{
        AddressProblem, Answer, Lookup, Outgoing, OutgoingConfig, OutgoingError, Own, Request,
    },
    tls::install_crypto_provider,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_util::task::TaskTracker;

/// Private addresses as attackers spell them.
const PRIVATE: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "0X7F000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "0x7f.1",
    "127.0.0.1.",
    "127.255.255.254",
    "127.0.0.0x1",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "127\u{ff0e}0\u{ff0e}0\u{ff0e}1",
    "\u{2460}\u{2461}\u{2466}.0.0.1",
    "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
    "0",
    "0.0.0.0",
    "0x0",
    "00000000000",
    "10.0.0.1",
    "10.1",
    "0xa.0.0.1",
    "012.0.0.1",
    "167772161",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.43518",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "2852039166",
    "0251.0376.0251.0376",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.1",
    "0xc0a80001",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.251",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "0xffffffff",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:A9FE:A9FE]",
    "[0:0:0:0:0:ffff:169.254.169.254]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::]",
    "[2001::1]",
    "[2001:0:7f00:1::]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[febf::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[5f00::1]",
];

fn outgoing(allowed: &[&str], lookup: Lookup) -> Outgoing {
    install_crypto_provider();
    let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
    Outgoing::new(OutgoingConfig { allowed, own: Own::default(), lookup })
}

async fn post(outgoing: &Outgoing, url: &str) -> Result<Answer, OutgoingError> {
    let to = outgoing.address(url).unwrap();
    let request =
        Request { method: Method::POST, to: &to, headers: HeaderMap::new(), body: "{}".into() };
    outgoing.send(request).await
}

/// A server at an address, which answers each connection with these bytes; and how many came.
async fn server(address: &str, answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let came = Arc::new(AtomicUsize::new(0));
    let count = came.clone();
    TaskTracker::new().spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            TaskTracker::new().spawn(async move {
                let mut read = [0; 4096];
                let _ = stream.read(&mut read).await;
                let _ = stream.write_all(answer).await;
            });
        }
    });
    (address, came)
}

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

#[test]
fn a_private_address_is_refused_in_every_spelling() {
    let outgoing = outgoing(&[], Lookup::System);
    assert!(PRIVATE.len() >= 60);
    for host in PRIVATE {
        for port in ["", ":8443"] {
            let url = format!("https://{host}{port}/hook");
            let refused = outgoing.address(&url).unwrap_err();
            // Some spellings are no address for a browser: refused as well.
            let is_right = matches!(refused, AddressProblem::Near | AddressProblem::Form);
            assert!(is_right, "{url}: {refused:?}");
        }
        let plain = outgoing.address(&format!("http://{host}/")).unwrap_err();
        assert_ne!(plain, AddressProblem::Credentials, "{host}");
    }
    for host in ["1.1.1.1", "[2606:4700::1111]", "push.example.org"] {
        outgoing.address(&format!("https://{host}/")).unwrap();
        assert!(outgoing.address(&format!("http://{host}/")).is_err(), "{host}");
    }
}

#[tokio::test]
async fn a_name_of_a_private_address_is_refused_whatever_else_it_has() {
    for host in PRIVATE {
        let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() else { continue };
        let outgoing = outgoing(&[], Lookup::By(Arc::new(move |_| vec![ip])));
        let refused = post(&outgoing, "https://rebound.example.org/").await.unwrap_err();
        assert_eq!(refused, OutgoingError::Near, "{ip}");
    }
    let nothing = outgoing(&[], Lookup::By(Arc::new(|_| Vec::new())));
    post(&nothing, "https://nobody.example.org/").await.unwrap_err();
}

#[tokio::test]
async fn a_name_that_changes_its_mind_leads_nowhere_else() {
    let (good, came) = server("127.0.0.2", NO_CONTENT).await;
    // The same port at another address: what a rebound name would reach.
    let evil = TcpListener::bind(("127.0.0.1", good.port())).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lookup = Lookup::By(Arc::new(move |_: &str| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        vec![if first { "127.0.0.2" } else { "127.0.0.1" }.parse().unwrap()]
    }));
    let outgoing = outgoing(&["127.0.0.2"], lookup);
    let url = format!("http://rebound.example.org:{}/", good.port());
    // Looked up once, and gone to where that led.
    assert_eq!(post(&outgoing, &url).await.unwrap().status, 204);
    assert_eq!((asked.load(Ordering::SeqCst), came.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(post(&outgoing, &url).await.unwrap_err(), OutgoingError::Near);
    let nobody = tokio::time::timeout(Duration::from_millis(50), evil.accept()).await;
    assert!(nobody.is_err(), "the private server was reached");
}

#[tokio::test]
async fn of_several_addresses_only_those_that_are_allowed_are_tried() {
    let (good, came) = server("127.0.0.2", NO_CONTENT).await;
    let lookup = Lookup::By(Arc::new(|_: &str| {
        ["127.0.0.1", "10.0.0.1", "127.0.0.2"].iter().map(|it| it.parse().unwrap()).collect()
    }));
    let outgoing = outgoing(&["127.0.0.2"], lookup);
    let answer = post(&outgoing, &format!("http://home.example.org:{}/", good.port())).await;
    assert_eq!(answer.unwrap().status, 204);
    assert_eq!(came.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_network_that_is_allowed_is_reached_but_not_the_ports_of_the_relay() {
    let (near, _) = server("127.0.0.1", NO_CONTENT).await;
    install_crypto_provider();
    let outgoing_with = |ports: Vec<u16>| {
        Outgoing::new(OutgoingConfig {
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
            own: Own { hosts: vec!["cam.example.org".to_owned()], ports },
            lookup: Lookup::By(Arc::new(|_: &str| vec!["127.0.0.1".parse().unwrap()])),
        })
    };
    let url = format!("http://127.0.0.1:{}/", near.port());
    assert_eq!(post(&outgoing_with(Vec::new()), &url).await.unwrap().status, 204);
    let guarded = outgoing_with(vec![near.port()]);
    assert_eq!(guarded.address(&url).unwrap_err(), AddressProblem::Near);
    let own = guarded.address("https://cam.example.org/").unwrap_err();
    assert_eq!(own, AddressProblem::Own);
    // A name that leads to the relay, by http and by https.
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://other.example.org:{}/", near.port());
        assert_eq!(post(&guarded, &url).await.unwrap_err(), OutgoingError::Near, "{scheme}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (private, came) = server("127.0.0.1", NO_CONTENT).await;
    let text = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:{}/\r\ncontent-length: 0\r\n\r\n",
        private.port()
    );
    let (good, _) = server("127.0.0.2", text.leak().as_bytes()).await;
    let outgoing = outgoing(&["127.0.0.0/8"], Lookup::System);
    let answer = post(&outgoing, &format!("http://127.0.0.2:{}/", good.port())).await.unwrap();
    assert_eq!(answer.status, 307);
    assert_eq!(came.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_that_misbehaves_costs_little() {
    let outgoing = outgoing(&["127.0.0.0/8"], Lookup::System);
    let url = async |answer: &'static [u8]| {
        let (address, _) = server("127.0.0.1", answer).await;
        format!("http://{address}/")
    };
    // It says that 64 MB come.
    let head = "HTTP/1.1 201 Created\r\ncontent-length: 67108864\r\n\r\n";
    let huge = [head.as_bytes(), &vec![b'x'; 1 << 20]].concat().leak();
    let answer = post(&outgoing, &url(huge).await).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (201, 64 * 1024));
    for (what, garbage) in [
        ("garbage", &b"\x16\x03\x01 what?\r\n\r\n"[..]),
        ("nothing", b""),
        ("half a head", b"HTTP/1.1 200 O"),
    ] {
        let refused = post(&outgoing, &url(garbage).await).await.unwrap_err();
        assert!(matches!(refused, OutgoingError::Away(_)), "{what}: {refused:?}");
        let told = refused.to_string();
        assert!(!told.contains("127.0.0.1") && told.len() < 200, "{told}");
    }
    // It takes the question and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let began = Instant::now();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    assert_eq!(post(&outgoing, &url).await.unwrap_err(), OutgoingError::Slow);
    assert!(began.elapsed() < Duration::from_secs(20), "it waited for too long");
}
