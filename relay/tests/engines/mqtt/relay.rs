//! The relay's side of a broker.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use nightjar_relay::{
    clock,
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
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
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
        Self::start_with(any, directory(), limits).await
    }

    pub(crate) async fn start_on(listen: SocketAddr, directory: tempfile::TempDir) -> Self {
        Self::start_with(listen, directory, BrokerLimits::default()).await
    }

    async fn start_with(
        listen: SocketAddr,
        directory: tempfile::TempDir,
        limits: BrokerLimits,
    ) -> Self {
        let certificates =
            Certificates::load_or_create(directory.path(), &[], clock::now()).unwrap();
        let config = EmbeddedBrokerConfig {
            listen,
            certificate_path: certificates.certificate_path.clone(),
            private_key_path: certificates.private_key_path.clone(),
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
            ca_pem: self.certificates.ca_pem.clone(),
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

    /// Makes a new certificate, and has the broker show it.
    pub(crate) async fn renew(&self) {
        self.certificates.renew(clock::now()).unwrap();
        self.broker.listen_anew().await;
    }

    /// The certificate that who connects is shown; nothing while nobody listens.
    pub(crate) async fn shown(&self) -> Option<CertificateDer<'static>> {
        let mut roots = RootCertStore::empty();
        let authority = self.certificates.ca_pem.as_bytes();
        roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.broker.address()).await.ok()?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await.ok()?;
        Some(stream.get_ref().1.peer_certificates().unwrap()[0].clone())
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
