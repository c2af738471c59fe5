//! How long a listener waits, and for how many.

use std::time::Duration;

const MEBIBYTE: u64 = 1 << 20;

/// How patient a listener is, and how much it takes.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// For TLS, and again for the head of a request.
    pub head: Duration,
    /// Between two pieces of a request's body.
    pub body_idle: Duration,
    /// For the whole body of a request.
    pub body_total: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// How long a client may take nothing of a response: no byte from the socket, and of an answer
    /// no piece of 16 KB.
    pub write_stall: Duration,
    /// At shutdown, for what is under way.
    pub drain: Duration,
    pub connections: usize,
    /// From one IPv4 address or IPv6 /64 network. Loopback and trusted proxies are exempt: they bring
    /// everybody from there, and have limits of their own.
    pub connections_per_network: usize,
    pub head_bytes: usize,
    /// HTTP/2 requests at a time on one connection.
    pub streams: u32,
    /// What one answer is counted as at most, of those that are under way.
    pub answer_bytes: u64,
    /// Of all answers that one account or camera has not taken yet.
    pub answer_bytes_per_asker: u64,
    /// Of all answers to one network, with the same exemption as connections.
    pub answer_bytes_per_network: u64,
    /// Of all answers.
    pub answer_bytes_total: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            body_total: Duration::from_mins(5),
            keep_alive: Duration::from_secs(75),
            // With what it takes to notice, within 30 s.
            write_stall: Duration::from_secs(25),
            drain: Duration::from_secs(3),
            connections: 4096,
            connections_per_network: 256,
            head_bytes: 32 * 1024,
            streams: 16,
            // An answer of the app's doors is in memory as a whole. A page has 256 KB at most.
            answer_bytes: 4 * MEBIBYTE,
            answer_bytes_per_asker: 4 * MEBIBYTE,
            answer_bytes_per_network: 8 * MEBIBYTE,
            answer_bytes_total: 16 * MEBIBYTE,
        }
    }
}

impl ServerLimits {
    /// Returns limits for the object store: clips take long to send, and a paused player reads
    /// nothing.
    pub fn for_objects() -> Self {
        Self {
            body_total: Duration::from_mins(15),
            write_stall: Duration::from_mins(5),
            // Read from the disk as it is sent.
            answer_bytes: 128 * 1024,
            answer_bytes_per_network: 32 * MEBIBYTE,
            answer_bytes_total: 256 * MEBIBYTE,
            ..Self::default()
        }
    }
}
