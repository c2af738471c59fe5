//! Connections of a simulated camera: handed to the simulation, which is its broker.

use rumqttc::v5::{ConnectionError, Event};
use tokio::sync::mpsc;

/// Packets on their way, each way. When it is full, their sender waits.
const QUEUE: usize = 16;

/// A packet to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    Subscribe(String),
    Publish { topic: String, retain: bool, payload: Vec<u8> },
    Disconnect,
}

/// A camera that connects.
#[derive(Debug)]
pub struct Dialled {
    pub client_id: String,
    pub user_name: String,
    pub password: String,
    /// Topic and payload of the last will.
    pub will: (String, Vec<u8>),
    pub packets: mpsc::Receiver<Sent>,
    /// Takes what the camera's client says. An error ends the connection.
    pub events: mpsc::Sender<Result<Event, ConnectionError>>,
}

/// Where simulated cameras connect. When it is full, they wait.
#[derive(Debug, Clone)]
pub struct Dial(pub mpsc::Sender<Dialled>);

/// The camera's ends of a connection.
type Ends = (mpsc::Sender<Sent>, mpsc::Receiver<Result<Event, ConnectionError>>);

impl Dial {
    /// Connects a camera; `client_id` is its user name, too.
    pub(super) async fn connect(
        &self,
        client_id: String,
        password: String,
        will: (String, Vec<u8>),
    ) -> Ends {
        let (packets_in, packets) = mpsc::channel(QUEUE);
        let (events, events_out) = mpsc::channel(QUEUE);
        let user_name = client_id.clone();
        let dialled = Dialled { client_id, user_name, password, will, packets, events };
        // A simulation that is over breaks the connection by dropping its ends.
        let _ = self.0.send(dialled).await;
        (packets_in, events_out)
    }
}
