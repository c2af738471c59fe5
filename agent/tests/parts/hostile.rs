//! Every answer that a relay can give, and a broker: the uplink goes on and tries again. Each runs beside
//! the others, against a relay of its own on this machine; the broker is named by an IPv6 address.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use nightjar_agent::{
    clock::{Clock, boot_id, unix_now},
    cloud::Cloud,
    identity::Identity,
    pairing::Pairing,
    store::{INDEX_FILE, Store},
    tls::TimeFloor,
    uplink::{self, Broker, UplinkEnds},
};
use nightjar_shared::{
    api::MqttEndpoint,
    configuration::Configuration,
    ids::{CameraId, SiteId},
    topic::{Channel, Topic},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};
use rustls_pki_types::PrivateKeyDer;
use tempfile::{TempDir, tempdir};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The second try comes after a second at most, unless the answer asks for more.
const TRIES_AGAIN_WITHIN: Duration = Duration::from_secs(2);
/// Of the uplink: one keeps the connection, one runs commands.
const TASKS: usize = 2;

/// What a relay does to who connects.
#[derive(Clone)]
enum Relay {
    /// Writes this to every request.
    Answers(Vec<u8>),
    /// Takes the request and says nothing.
    Hangs,
    /// Gives tokens; its broker writes this into every TLS connection, and closes it.
    Broker(Vec<u8>),
    /// Its broker does not speak TLS.
    NoTls,
}

/// An authority, and a server's certificate that it signed for this machine.
struct Authority {
    pem: String,
    server: Arc<ServerConfig>,
}

fn authority() -> Authority {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = parameters.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(parameters, key);
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec!["::1".to_owned()]).unwrap();
    let certificate = names.signed_by(&key, &issuer).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Authority { pem, server: Arc::new(server) }
}

/// Serves connections until the process ends; counts them.
pub(crate) fn serve(
    listener: TcpListener,
    count: Arc<AtomicUsize>,
    serve: impl Fn(TcpStream) + Send + 'static,
) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Nobody here waits for ever.
            drop(stream.set_read_timeout(Some(PATIENCE)));
            count.fetch_add(1, Ordering::SeqCst);
            serve(stream);
        }
    });
}

fn answer(mut stream: TcpStream, bytes: impl Fn(&str) -> Vec<u8>) {
    let mut request = [0; 4_096];
    let length = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    drop(stream.write_all(&bytes(&request)));
}

pub(crate) fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").into()
}

pub(crate) fn token(request: &str) -> Vec<u8> {
    let now = unix_now().0;
    ok(&if request.starts_with("GET") {
        format!("{{\"nonce\":\"n\",\"server_time\":{now}}}")
    } else {
        format!("{{\"token\":\"t\",\"expires_in_s\":3600,\"server_time\":{now}}}")
    })
}

/// One relay, the uplink that talks to it, and how often it has asked.
struct Case {
    name: String,
    asked: Arc<AtomicUsize>,
    tracker: TaskTracker,
    cancel: CancellationToken,
    _kept: (TempDir, Kept),
}

/// Ends of channels that stay open.
type Kept = (
    mpsc::Receiver<uplink::CommandRequest>,
    mpsc::Receiver<nightjar_shared::signal::Signal>,
    watch::Sender<Option<nightjar_shared::event::Health>>,
    watch::Sender<Configuration>,
    mpsc::Sender<(String, nightjar_shared::signal::Signal)>,
);

fn start(name: String, relay: Relay, authority: &Authority, camera_id: CameraId) -> Case {
    let asked = Arc::new(AtomicUsize::new(0));
    let http = TcpListener::bind("127.0.0.1:0").unwrap();
    let mqtt = TcpListener::bind("[::1]:0").unwrap();
    let pairing = Pairing {
        relay_url: format!("http://{}", http.local_addr().unwrap()),
        ca_sha256: None,
        camera_id,
        site_id: SiteId::generate(),
        mqtt: MqttEndpoint {
            url: format!("mqtts://{}", mqtt.local_addr().unwrap()),
            client_id: camera_id.to_string(),
        },
        ca_pem: authority.pem.clone(),
        server_time: unix_now(),
        owner_keys: Vec::new(),
    };
    let config = Arc::clone(&authority.server);
    let none = || Arc::new(AtomicUsize::new(0));
    match relay {
        Relay::Answers(bytes) => {
            serve(http, Arc::clone(&asked), move |stream| answer(stream, |_| bytes.clone()));
        }
        Relay::Hangs => {
            let held = std::sync::Mutex::new(Vec::new());
            serve(http, Arc::clone(&asked), move |stream| held.lock().unwrap().push(stream));
        }
        Relay::NoTls => {
            serve(http, none(), |stream| answer(stream, token));
            serve(mqtt, Arc::clone(&asked), |stream| answer(stream, |_| b"220 ready\r\n".to_vec()));
        }
        Relay::Broker(bytes) => {
            serve(http, none(), |stream| answer(stream, token));
            serve(mqtt, Arc::clone(&asked), move |stream| {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                let mut connect = [0; 4_096];
                if stream.read(&mut connect).is_ok() && stream.write_all(&bytes).is_ok() {
                    drop(stream.flush());
                    // What it says to that is read, so that the end is no reset.
                    drop(stream.sock.set_read_timeout(Some(Duration::from_millis(50))));
                    drop(stream.read(&mut connect));
                }
            });
        }
    }
    let directory = tempdir().unwrap();
    let identity = Arc::new(Identity::open(directory.path()).unwrap());
    let clock = Clock::default();
    let floor = TimeFloor::new(clock.clone(), pairing.server_time);
    let cloud = Cloud::new(&pairing, identity, floor.clone()).unwrap();
    let broker = Broker::new(&pairing, floor).unwrap();
    let (commands, commands_out) = mpsc::channel(1);
    let (signals_in, signals_for_live) = mpsc::channel(4);
    let (signals_from_live, signals_out) = mpsc::channel(4);
    let (health_in, health) = watch::channel(None);
    let (configuration_in, configuration) = watch::channel(Configuration::default());
    let ends = UplinkEnds {
        store: Store::open(&directory.path().join(INDEX_FILE)).unwrap(),
        cloud,
        clock,
        boot_id: boot_id().unwrap(),
        commands,
        signals_in,
        signals_out,
        health,
        configuration,
    };
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    uplink::start(broker, ends, &tracker, cancel.clone());
    let kept = (commands_out, signals_for_live, health_in, configuration_in, signals_from_live);
    Case { name, asked, tracker, cancel, _kept: (directory, kept) }
}

/// A packet that is published to the camera.
fn publication(camera_id: CameraId, channel: Channel, payload: &[u8]) -> Vec<u8> {
    let topic = Topic::new(camera_id, channel).to_string();
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    body.push(0);
    body.extend(payload);
    let mut packet = vec![0x30];
    let mut left = body.len();
    loop {
        let digit = u8::try_from(left % 128).unwrap();
        left /= 128;
        packet.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

const CONNECTED: [u8; 5] = [0x20, 3, 0, 0, 0];
const SUBSCRIBED: [u8; 6] = [0x90, 4, 0, 1, 0, 1];

fn relays(camera_id: CameraId) -> Vec<(String, Relay)> {
    let answers = answers().into_iter();
    let mut relays: Vec<_> =
        answers.map(|(name, bytes)| (format!("HTTP: {name}"), Relay::Answers(bytes))).collect();
    relays.push(("HTTP: silence".to_owned(), Relay::Hangs));
    relays.push(("a broker without TLS".to_owned(), Relay::NoTls));
    let packets = greetings().into_iter().chain(arrivals(camera_id));
    relays.extend(packets.map(|(name, bytes)| (format!("MQTT: {name}"), Relay::Broker(bytes))));
    relays
}

pub(crate) type Named = Vec<(String, Vec<u8>)>;

/// What a relay may answer to any request.
pub(crate) fn answers() -> Named {
    let mut answers: Vec<(String, Vec<u8>)> = [
        ("nothing", Vec::new()),
        ("no HTTP", b"\x15\x03\x01\x00\x02\x02\x28\0\xff\xfe".repeat(40)),
        ("a redirect", b"HTTP/1.1 302 Found\r\nlocation: /api/v1/agent/challenge\r\n\r\n".into()),
        ("a torn body", b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"nonce\":".into()),
        ("a length that cannot be", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".into()),
        ("headers without end", [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x".repeat(300_000)].concat()),
        ("a huge body", ok(&"{".repeat(2_000_000))),
        ("deep JSON", ok(&"[".repeat(100_000))),
        ("JSON of another kind", ok("[1, null, {\"nonce\": {}}]")),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into();
    for time in [i64::MAX, i64::MIN, 0, -1] {
        let life = u64::MAX;
        let all = format!(
            "{{\"nonce\":\"n\",\"token\":\"t\",\"expires_in_s\":{life},\"server_time\":{time}}}"
        );
        answers.push((format!("the time {time}"), ok(&all)));
    }
    let refusals = [100, 204, 301, 400, 401, 403, 404, 409, 410, 413, 421, 426, 429, 451];
    for status in refusals.into_iter().chain([500, 502, 503, 504, 599, 999]) {
        let retry = if status % 2 == 0 { "18446744073709551615" } else { "-1" };
        let text = format!(
            "HTTP/1.1 {status} No\r\nretry-after: {retry}\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        answers.push((format!("status {status}"), text.into_bytes()));
    }
    answers
}

/// What a broker may say to who connects and subscribes.
fn greetings() -> Named {
    let packets: [(&str, &[&[u8]]); 10] = [
        ("an end at once", &[]),
        ("garbage", &[&[0xff; 64]]),
        ("a length without end", &[&[0x30, 0xff, 0xff, 0xff, 0xff, 0xff]]),
        ("a torn greeting", &[&CONNECTED[..3]]),
        ("a greeting of no kind", &[&[0x20, 3, 0xff, 0xff, 0xff]]),
        ("a packet of 256 MB", &[&CONNECTED, &[0x30, 0xff, 0xff, 0xff, 0x7f, 0]]),
        ("two greetings", &[&CONNECTED, &CONNECTED]),
        ("no subscription", &[&CONNECTED, &[0x90, 4, 0, 1, 0, 0x87]]),
        ("a subscription of nothing", &[&CONNECTED, &[0x90, 3, 0, 1, 0]]),
        ("receipts of nothing", &[&CONNECTED, &[0x40, 2, 0x77, 0x77], &[0x40, 2, 0, 0]]),
    ];
    let mut greetings: Named =
        packets.map(|(name, packets)| (name.to_owned(), packets.concat())).into();
    for reason in (0x80..0xa3).chain([1, 0x7f, 0xff]) {
        let refusal = [0x20, 3, 0, reason, 0].to_vec();
        greetings.push((format!("a greeting with reason {reason:#x}"), refusal));
        let end = [&CONNECTED[..], &SUBSCRIBED, &[0xe0, 2, reason, 0]].concat();
        greetings.push((format!("an end with reason {reason:#x}"), end));
    }
    greetings
}

/// What may arrive for the camera.
fn arrivals(camera_id: CameraId) -> Named {
    let id = "01a22c76-34fc-75ed-8658-538f317ebfeb";
    let command = |protocol: u8, expiry: i64, rest: &str| {
        format!(
            "{{\"protocol\":{protocol},\"command_id\":\"{id}\",\"expires_at\":{expiry},{rest}}}"
        )
    };
    let payloads = [
        String::new(),
        "\0".to_owned(),
        "{}".to_owned(),
        "[".repeat(60_000),
        command(1, i64::MAX, "\"command\":{\"type\":\"explode\"}"),
        command(99, i64::MIN, "\"type\":\"reboot\""),
    ];
    let mut arrivals = Named::new();
    for payload in payloads {
        for channel in [Channel::DownCommand, Channel::DownSignal, Channel::UpPresence] {
            let shown: String = payload.chars().take(20).collect();
            let name = format!("{shown:?} on {channel:?}");
            let packet = publication(camera_id, channel, payload.as_bytes());
            arrivals.push((name, [&CONNECTED[..], &SUBSCRIBED, &packet].concat()));
        }
    }
    arrivals
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_of_a_relay_or_a_broker_ends_the_uplink() {
    let authority = authority();
    let camera_id = CameraId::generate();
    let cases: Vec<Case> = relays(camera_id)
        .into_iter()
        .map(|(name, relay)| start(name, relay, &authority, camera_id))
        .collect();
    for case in &cases {
        let asked = |times| {
            let asked = Arc::clone(&case.asked);
            async move {
                while asked.load(Ordering::SeqCst) < times {
                    sleep(Duration::from_millis(10)).await;
                }
            }
        };
        timeout(PATIENCE, asked(1))
            .await
            .unwrap_or_else(|_| panic!("{} was never asked", case.name));
    }
    // The uplink has read each answer when it asks again; some answers ask for more time than that.
    let deadline = Instant::now() + TRIES_AGAIN_WITHIN;
    let settled = |case: &Case| case.asked.load(Ordering::SeqCst) > 1;
    while Instant::now() < deadline && !cases.iter().all(settled) {
        sleep(Duration::from_millis(20)).await;
    }
    for case in &cases {
        assert_eq!(case.tracker.len(), TASKS, "{}: a task ended", case.name);
        case.cancel.cancel();
        case.tracker.close();
    }
    for case in cases {
        timeout(PATIENCE, case.tracker.wait()).await.expect("all tasks end");
    }
}
