//! The relay's side of a broker.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use nightjar_relay::{
    clock,
    config::Proxies,
    engines::{
        broker::{Arrival, Broker, BrokerInbox, BrokerLimits, EmbeddedBrokerConfig, Handled},
        metrics::Metrics,
        tls::Certificates,
    },
};
use nightjar_shared::ids::CameraId;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    mqtt_client::{Camera, Connection},
    support::{PATIENCE, directory, until, within},
};

/// It knows every camera's token, and writes down what arrives.
pub(crate) struct Relay {
    pub(crate) broker: Broker,
    certificates: Certificates,
    directory: tempfile::TempDir,
    log: Arc<Mutex<Vec<String>>>,
    pub(crate) verdict: Arc<Mutex<Handled>>,
    metrics: Metrics,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        Self::start_within(BrokerLimits::default()).await
    }

    pub(crate) async fn start_within(limits: BrokerLimits) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_with(any, directory(), limits, None).await
    }

    pub(crate) async fn start_on(listen: SocketAddr, directory: tempfile::TempDir) -> Self {
        Self::start_with(listen, directory, BrokerLimits::default(), None).await
    }

    /// Starts it behind this proxy, which speaks the PROXY protocol.
    pub(crate) async fn start_behind(proxy: IpAddr, limits: BrokerLimits) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_with(any, directory(), limits, Some(proxy)).await
    }

    async fn start_with(
        listen: SocketAddr,
        directory: tempfile::TempDir,
        limits: BrokerLimits,
        proxy: Option<IpAddr>,
    ) -> Self {
        let certificates =
            Certificates::load_or_create(directory.path(), &[], clock::now()).unwrap();
        let proxies = proxy.map(|proxy| Proxies::from([proxy.to_string().parse().unwrap()]));
        let config = EmbeddedBrokerConfig {
            listen,
            tls: certificates.server_for_mqtt(),
            proxy_protocol: proxies.is_some(),
            proxies: proxies.unwrap_or_default(),
            limits: BrokerLimits { handshake: Duration::from_secs(2), ..limits },
        };
        let metrics = Metrics::default();
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let (broker, inbox) =
            Broker::start_embedded(config, &metrics, &tracker, cancel.clone()).await.unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let verdict = Arc::new(Mutex::new(Handled::Done));
        tracker.spawn(serve(inbox, log.clone(), verdict.clone(), cancel.clone()));
        Self { broker, certificates, directory, log, verdict, metrics, tracker, cancel }
    }

    /// All arrivals so far, one line each.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) async fn until_logged(&self, line: &str) {
        until(&format!("the relay has logged `{line}`"), || self.log().iter().any(|l| l == line))
            .await;
    }

    pub(crate) fn refused(&self, rule: &str) -> bool {
        self.metrics.render().contains(&format!("nightjar_mqtt_refused_total{{rule=\"{rule}\"}}"))
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> u32 {
        let metrics = self.metrics.render();
        let line = metrics.lines().find_map(|line| line.strip_prefix("nightjar_mqtt_connections "));
        line.unwrap().parse().unwrap()
    }

    pub(crate) fn connection(&self, camera_id: CameraId) -> Connection {
        Connection {
            address: self.broker.address(),
            ca_pem: self.certificates.ca_pem(),
            client_id: camera_id.to_string(),
            user_name: camera_id.to_string(),
            token: token_of(camera_id),
            last_will: None,
            websocket: None,
        }
    }

    pub(crate) async fn connect(&self, camera_id: CameraId) -> Camera {
        self.connection(camera_id).open().await.expect("the camera's own credential is good")
    }

    /// How many connections were closed because nothing was said in time.
    pub(crate) fn timed_out(&self) -> u32 {
        let metrics = self.metrics.render();
        let line =
            metrics.lines().find_map(|line| line.strip_prefix("nightjar_mqtt_timeouts_total "));
        line.unwrap().parse().unwrap()
    }

    /// Makes a new certificate.
    pub(crate) fn renew(&self) {
        self.certificates.renew(clock::now()).unwrap();
    }

    /// The certificate that who connects is shown.
    pub(crate) async fn shown(&self) -> CertificateDer<'static> {
        let stream = self.shake_hands().await;
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    /// A connection within which nothing was said yet.
    pub(crate) async fn shake_hands(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        let authority = self.certificates.ca_pem();
        let authority = authority.as_bytes();
        roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.broker.address()).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect("localhost".try_into().unwrap(), stream).await.unwrap()
    }

    /// A proxy that begins each connection with this header. Gives its address.
    pub(crate) async fn proxy(&self, header: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, broker) = (listener.local_addr().unwrap(), self.broker.address());
        let tracker = self.tracker.clone();
        let pass_on = async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut inner = TcpStream::connect(broker).await.unwrap();
                // It may have been closed already.
                let _ = inner.write_all(&header).await;
                tracker.spawn(async move { copy_bidirectional(&mut client, &mut inner).await });
            }
        };
        self.tracker.spawn(self.cancel.clone().run_until_cancelled_owned(pass_on));
        address
    }

    pub(crate) async fn stop(self) -> (SocketAddr, tempfile::TempDir) {
        let address = self.broker.address();
        self.cancel.cancel();
        self.tracker.close();
        within(PATIENCE, self.tracker.wait()).await;
        (address, self.directory)
    }
}

pub(crate) fn token_of(camera_id: CameraId) -> String {
    format!("token of {camera_id}")
}

async fn serve(
    mut inbox: BrokerInbox,
    log: Arc<Mutex<Vec<String>>>,
    verdict: Arc<Mutex<Handled>>,
    cancel: CancellationToken,
) {
    loop {
        tokio::select! {
            Some(request) = inbox.authentications.recv() => {
                let _ = request.answer.send(request.token == token_of(request.camera_id));
            }
            Some(arrival) = inbox.arrivals.recv() => {
                let line = match arrival {
                    Arrival::Connected { camera_id } => format!("{camera_id} connected"),
                    Arrival::Ready { camera_id } => format!("{camera_id} ready"),
                    Arrival::Disconnected { camera_id } => format!("{camera_id} disconnected"),
                    Arrival::Message(message) => {
                        let payload = String::from_utf8_lossy(&message.payload).into_owned();
                        let _ = message.handled.send(*verdict.lock().unwrap());
                        format!("{} {:?} {payload}", message.camera_id, message.channel)
                    }
                };
                log.lock().unwrap().push(line);
            }
            () = cancel.cancelled() => return,
        }
    }
}
