//! The port of MQTT that is closed, and answers again.

use std::{
    fs,
    io::copy,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::{
    clock::set_clock,
    pairing::{faked_time, pair_with_file},
    relay::{Relay, until},
    support::Home,
};

/// A port before that of the relay's broker, which refuses connections until it is opened.
struct Gate {
    socket: TcpSocket,
    broker: u16,
}

impl Gate {
    fn closed(broker: u16) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { socket, broker }
    }

    fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Gives the number of connections that came since. Ends with the test's process.
    fn open(self) -> Arc<AtomicUsize> {
        let listener = self.socket.listen(16).unwrap().into_std().unwrap();
        listener.set_nonblocking(false).unwrap();
        let came = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&came);
        thread::spawn(move || pass_on(&listener, self.broker, &counted));
        came
    }
}

fn pass_on(listener: &TcpListener, broker: u16, came: &AtomicUsize) {
    for camera in listener.incoming().flatten() {
        came.fetch_add(1, Ordering::Relaxed);
        let broker = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, broker))).unwrap();
        for (from, to) in [(&camera, &broker), (&broker, &camera)] {
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            thread::spawn(move || {
                drop(copy(&mut from, &mut to));
                drop(to.shutdown(Shutdown::Both));
            });
        }
    }
}

/// Lets a paired camera find its broker behind a gate.
fn behind_a_gate(home: &Home) -> Gate {
    let path = home.data_dir().join("pairing.json");
    let mut pairing: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let (host, port) = pairing["mqtt"]["url"].as_str().unwrap().rsplit_once(':').unwrap();
    let gate = Gate::closed(port.parse().unwrap());
    let url = format!("{host}:{}", gate.port());
    pairing["mqtt"]["url"] = url.into();
    fs::write(&path, serde_json::to_vec(&pairing).unwrap()).unwrap();
    gate
}

/// It is looked for after a minute: the camera's clock is turned, and what the kernel waits for is not.
#[tokio::test]
async fn a_camera_that_came_by_https_goes_back_to_the_port_of_mqtt_when_that_answers_again() {
    let Some(library) = faked_time() else { return };
    let Some(relay) = Relay::start().await else { return };
    let home = Home::synthetic();
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let gate = behind_a_gate(&home);
    let time = home.path("time");
    set_clock(&time, "+0");
    let _agent = home.run_with(&[
        ("LD_PRELOAD", library.as_os_str()),
        ("FAKETIME_TIMESTAMP_FILE", time.as_os_str()),
        ("FAKETIME_NO_CACHE", "1".as_ref()),
    ]);
    relay.until_online(&camera).await;
    home.wait_for_log("route=WebSocket");
    let came = gate.open();

    let mut turned_by = 0;
    until("the way back", async || {
        turned_by += 130;
        set_clock(&time, &format!("+{turned_by}"));
        home.log().contains("going back to it").then_some(())
    })
    .await;
    // One to see whether it answers, one to stay.
    until("its connection", async || (came.load(Ordering::Relaxed) >= 2).then_some(())).await;
    relay.until_online(&camera).await;
    relay.carried_out(&camera, json!({ "kind": "record_start" })).await;
}
