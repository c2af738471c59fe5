//! A network between one viewer and its camera: packets pass through here, late, lost, or no
//! faster than a given rate. In user space, as not every kernel has netem and tbf.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Longer packets than any that WebRTC sends.
const LARGEST: usize = 2_048;

/// Packets on their way in one direction. When full, further ones are lost, as in any queue.
const IN_FLIGHT: usize = 4_096;

/// What the network does to packets.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// Towards the viewer; without it there is no limit.
    pub rate_kbps: Option<u32>,
    /// How long a packet may wait for the link before it is dropped.
    pub longest_queue: Duration,
    /// One way, each way.
    pub delay: Duration,
    /// Of a thousand packets, in each direction.
    pub loss_permille: u32,
}

impl Default for Conditions {
    /// A network like none at all.
    fn default() -> Self {
        Self {
            rate_kbps: None,
            longest_queue: Duration::from_millis(300),
            delay: Duration::ZERO,
            loss_permille: 0,
        }
    }
}

/// A running network. It ends when it is dropped.
#[derive(Debug)]
pub struct Shaper {
    address: SocketAddr,
    conditions: Arc<Mutex<Conditions>>,
    stop: CancellationToken,
}

impl Shaper {
    /// Forwards between whoever sends to [`Self::address`] and the camera. `seed` decides which
    /// packets are lost.
    pub async fn start(camera: SocketAddr, conditions: Conditions, seed: u64) -> Result<Self> {
        let near = bind(camera.ip()).await?;
        let far = bind(camera.ip()).await?;
        let address = near.local_addr()?;
        let conditions = Arc::new(Mutex::new(conditions));
        let stop = CancellationToken::new();
        let (near, far) = (Arc::new(near), Arc::new(far));
        let (viewer, camera) = (Place::default(), Arc::new(Mutex::new(Some(camera))));
        let up = Leg { from: Arc::clone(&near), to: Arc::clone(&far), place: camera };
        let down = Leg { from: far, to: near, place: Arc::clone(&viewer) };
        let up_link = Link::new(Arc::clone(&conditions), false, seed);
        let down_link = Link::new(Arc::clone(&conditions), true, seed.wrapping_add(1));
        let tasks = TaskTracker::new();
        tasks.spawn(stop.clone().run_until_cancelled_owned(up.forward(up_link, Some(viewer))));
        tasks.spawn(stop.clone().run_until_cancelled_owned(down.forward(down_link, None)));
        Ok(Self { address, conditions, stop })
    }

    /// What the viewer is to take for the camera.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The network changes, for packets from now on.
    pub fn set(&self, conditions: Conditions) {
        *lock(&self.conditions) = conditions;
    }
}

impl Drop for Shaper {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn bind(address: IpAddr) -> Result<UdpSocket> {
    UdpSocket::bind((address, 0)).await.with_context(|| format!("cannot bind to {address}"))
}

type Packet = (Instant, Vec<u8>);

/// Where packets go, once it is known.
type Place = Arc<Mutex<Option<SocketAddr>>>;

/// One direction.
struct Leg {
    from: Arc<UdpSocket>,
    to: Arc<UdpSocket>,
    place: Place,
}

impl Leg {
    /// Forwards for ever; notes in `sender` where packets come from.
    async fn forward(self, mut link: Link, sender: Option<Place>) {
        let (queue, packets) = mpsc::channel(IN_FLIGHT);
        let receive = async {
            let mut buffer = [0; LARGEST];
            loop {
                // An error tells of a packet that the other end refused.
                let Ok((length, from)) = self.from.recv_from(&mut buffer).await else { continue };
                if let Some(sender) = &sender {
                    *lock(sender) = Some(from);
                }
                if let Some(at) = link.pass(length, Instant::now()) {
                    queue.try_send((at, buffer[..length].to_vec())).ok();
                }
            }
        };
        tokio::join!(self.deliver(packets), receive);
    }

    /// Sends each packet on when its time has come; they come in this order.
    async fn deliver(&self, mut packets: mpsc::Receiver<Packet>) {
        while let Some((at, packet)) = packets.recv().await {
            sleep_until(at).await;
            let place = *lock(&self.place);
            if let Some(place) = place {
                // Refused while the other end is closed: lost, like any other.
                self.to.send_to(&packet, place).await.ok();
            }
        }
    }
}

struct Link {
    conditions: Arc<Mutex<Conditions>>,
    limited: bool,
    /// When the link has sent all that it took.
    free_at: Instant,
    chance: u64,
}

impl Link {
    fn new(conditions: Arc<Mutex<Conditions>>, limited: bool, seed: u64) -> Self {
        Self { conditions, limited, free_at: Instant::now(), chance: seed }
    }

    /// When a packet of so many bytes comes out at the other end; nothing when it is lost.
    fn pass(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let conditions = *lock(&self.conditions);
        if self.next_permille() < conditions.loss_permille {
            return None;
        }
        if let Some(kbps) = conditions.rate_kbps.filter(|_| self.limited) {
            let begin = self.free_at.max(now);
            if begin - now > conditions.longest_queue {
                return None;
            }
            let bits = u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(8);
            self.free_at = begin + Duration::from_secs(1) * bits / (kbps * 1_000);
        } else {
            self.free_at = now;
        }
        Some(self.free_at + conditions.delay)
    }

    /// 0 to 999, by the `SplitMix64` generator.
    fn next_permille(&mut self) -> u32 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.chance;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((bits ^ (bits >> 31)) % 1_000).unwrap_or(0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first UDP candidate of a description, by IPv4 address.
pub fn candidate(sdp: &str) -> Result<SocketAddr> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    sdp.lines()
        .filter(|line| line.starts_with("a=candidate:"))
        .map(words)
        .filter(|words| words.get(2).is_some_and(|kind| kind.eq_ignore_ascii_case("udp")))
        .find_map(|words| {
            let address = words.get(4)?.parse::<std::net::Ipv4Addr>().ok()?;
            Some(SocketAddr::from((address, words.get(5)?.parse::<u16>().ok()?)))
        })
        .context("an answer without a UDP candidate")
}

/// The description with one candidate only: this address.
pub fn with_candidate(sdp: &str, address: SocketAddr) -> String {
    let mut text = String::with_capacity(sdp.len());
    let (ip, port) = (address.ip(), address.port());
    let candidate = format!("a=candidate:1 1 UDP 2130706431 {ip} {port} typ host");
    let mut written = false;
    for line in sdp.lines() {
        if !line.starts_with("a=candidate:") {
            text.extend([line, "\r\n"]);
        } else if !written {
            written = true;
            text.extend([candidate.as_str(), "\r\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_network_like_none_at_all_loses_nothing() {
        let camera = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let clean = Conditions::default();
        let shaper = Shaper::start(camera.local_addr().unwrap(), clean, 7).await.unwrap();
        let viewer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // Until it is through, nobody knows where the viewer is.
        viewer.send_to(b"hello", shaper.address()).await.unwrap();
        let mut buffer = [0; LARGEST];
        let (_, shaper_address) = camera.recv_from(&mut buffer).await.unwrap();
        for number in 0..100 {
            camera.send_to(&[number; 1_000], shaper_address).await.unwrap();
            let arriving = viewer.recv(&mut buffer);
            let length = tokio::time::timeout(PATIENCE, arriving).await.unwrap().unwrap();
            assert_eq!(buffer[..length], [number; 1_000]);
        }
    }

    /// How many of a hundred packets of 1,000 bytes come out of a link, sent so far apart.
    fn passing(conditions: Conditions, gap: Duration) -> usize {
        let mut link = Link::new(Arc::new(Mutex::new(conditions)), true, 7);
        let begin = Instant::now();
        (0..100).filter(|packet| link.pass(1_000, begin + gap * *packet).is_some()).count()
    }

    #[test]
    fn losses_are_those_that_were_ordered() {
        let lossy = Conditions { loss_permille: 200, ..Conditions::default() };
        let count = passing(lossy, Duration::ZERO);
        assert!((70..90).contains(&count), "{count} of 100");
    }

    #[test]
    fn a_narrow_link_drops_what_would_wait_too_long() {
        // A packet takes 20 ms: those that wait for no more than 300 ms are sixteen.
        let narrow = Conditions { rate_kbps: Some(400), ..Conditions::default() };
        assert_eq!(passing(narrow, Duration::ZERO), 16);
        assert_eq!(passing(narrow, Duration::from_millis(20)), 100);
    }

    #[test]
    fn descriptions_get_the_networks_address() {
        let sdp = "v=0\r\na=candidate:1 1 TCP 1 10.0.0.1 9 typ host tcptype active\r\n\
                   a=candidate:2 1 UDP 1 fe80::1 1 typ host\r\n\
                   a=candidate:3 1 UDP 1 10.0.0.1 4000 typ host\r\na=mid:0\r\n";
        assert_eq!(candidate(sdp).unwrap(), "10.0.0.1:4000".parse().unwrap());
        let rewritten = with_candidate(sdp, "10.0.0.1:5000".parse().unwrap());
        assert_eq!(
            rewritten,
            "v=0\r\na=candidate:1 1 UDP 2130706431 10.0.0.1 5000 typ host\r\na=mid:0\r\n"
        );
    }
}
