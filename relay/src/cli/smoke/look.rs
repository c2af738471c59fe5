//! Looks at what is beside the doors: the certificate, and TURN.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Failure, LOG,
    camera::text,
    client::{Client, OTHER_SERVER},
};
use crate::engines::{
    tls::{self, CertificateFault, TlsFailure, Trust},
    turn,
};

pub(super) async fn look_at_certificate(
    host: String,
    port: u16,
    trust: Trust,
    within: Duration,
) -> Result<((), String), Failure> {
    let seen = move || tls::inspect(&host, port, &trust, None, within);
    let seen = crate::blocking::blocking(seen).await;
    let seen = seen.map_err(|_| Failure::new("the look was broken off", "try again"))?;
    match seen {
        Ok(seen) => {
            let until = seen.certificate.map(|it| it.good_until).unwrap_or_default();
            Ok(((), format!("the certificate is good until {until}")))
        }
        Err(TlsFailure::Untrusted { certificate, fault }) => {
            Err(untrusted(&certificate.map(|it| it.issuer).unwrap_or_default(), &fault))
        }
        Err(TlsFailure::NoTls(cause)) => {
            Err(Failure::new(format!("no TLS is spoken there: {cause}"), OTHER_SERVER))
        }
        Err(TlsFailure::NoName(cause) | TlsFailure::Unreachable(cause)) => {
            Err(Failure::new(cause, "let TCP to that port in"))
        }
    }
}

fn untrusted(issuer: &str, fault: &CertificateFault) -> Failure {
    let (what, remedy) = match fault {
        CertificateFault::Expired => {
            ("has ended", "have it renewed: nightjar-relay doctor says why it was not")
        }
        CertificateFault::NotYetValid => ("has not begun", "check this machine's clock"),
        CertificateFault::OtherHost => {
            ("is for another name", "use the name in public_url, or correct public_url")
        }
        CertificateFault::UnknownIssuer | CertificateFault::Other(_) => (
            "is of an authority that is not trusted here",
            "pass --ca-file with the relay's /ca.pem, or get a public certificate: docs/operations.md",
        ),
    };
    Failure::new(format!("the certificate, by {issuer}, {what}"), remedy)
}

/// Asks for servers as a camera does that looks at its network: address, user and password of each.
pub(super) async fn ice_servers(camera: &Client) -> Result<Vec<(String, String, String)>, Failure> {
    let means = camera.post("agent/network", json!({})).await?.expect(StatusCode::OK, LOG)?;
    let servers = means["ice_servers"].as_array().cloned().unwrap_or_default();
    let addresses = |server: &Value| {
        let (user, password) = (text(&server["username"]), text(&server["credential"]));
        let urls = server["urls"].as_array().cloned().unwrap_or_default();
        let urls = urls.into_iter().map(|url| text(&url)).filter(|url| url.starts_with("turn:"));
        urls.map(move |url| (url, user.clone(), password.clone())).collect::<Vec<_>>()
    };
    Ok(servers.iter().flat_map(addresses).collect())
}

/// Allocates at one server after the other.
pub(super) async fn allocate_at(
    servers: Vec<(String, String, String)>,
    within: Duration,
) -> Result<String, Failure> {
    let mut found = Vec::new();
    let mut is_missing = false;
    for (url, user, password) in servers {
        let address = url.clone();
        let allocated = move || turn::allocate(&address, &user, &password, within);
        let allocated = crate::blocking::blocking(allocated).await;
        let allocated =
            allocated.map_err(|_| Failure::new("the look was broken off", "try again"))?;
        match allocated {
            Ok(relayed) => found.push(format!("{url} relays at {relayed}")),
            Err(error) => {
                is_missing = true;
                found.push(format!("{url}: {error}"));
            }
        }
    }
    let found = found.join("; ");
    if is_missing {
        let remedy =
            "let turn.listen (UDP and TCP) and turn.relay_ports (UDP) in: docs/operations.md";
        return Err(Failure::new(found, remedy));
    }
    Ok(found)
}
