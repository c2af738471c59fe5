//! STUN and TURN servers, from the form browsers use to the one that `webrtcbin` takes.

use std::fmt::Write as _;

use nightjar_shared::signal::IceServer;

/// More servers than these only slow gathering down.
const MAX_SERVERS: usize = 4;

/// What one session may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IceServers {
    /// `webrtcbin` takes one STUN server.
    pub(crate) stun: Option<String>,
    pub(crate) turn: Vec<String>,
}

impl IceServers {
    /// Servers that cannot be used are left out.
    pub(crate) fn new(servers: &[IceServer]) -> Self {
        let mut this = Self::default();
        for server in servers {
            for url in &server.urls {
                match translate(url, server) {
                    Some(url) if url.starts_with("stun") => _ = this.stun.get_or_insert(url),
                    Some(url) if this.turn.len() < MAX_SERVERS => this.turn.push(url),
                    Some(_) | None => {}
                }
            }
        }
        this
    }
}

/// `turn:host:port?transport=udp` with its credentials becomes
/// `turn://user:password@host:port?transport=udp`.
fn translate(url: &str, server: &IceServer) -> Option<String> {
    let (scheme, rest) = url.split_once(':')?;
    let (host, query) = rest.split_once('?').unwrap_or((rest, ""));
    let host = with_port(host, 3478)?;
    match scheme {
        "stun" => Some(format!("stun://{host}")),
        // libnice takes `turns:` and then speaks no TLS: it would only ask in vain.
        "turn" => {
            let user = escape(server.username.as_deref()?);
            let password = escape(server.credential.as_deref()?);
            let transport = match query {
                "" => String::new(),
                "transport=udp" | "transport=tcp" => format!("?{query}"),
                _ => return None,
            };
            Some(format!("turn://{user}:{password}@{host}{transport}"))
        }
        _ => None,
    }
}

/// A host name or address of plain characters, with a port.
fn with_port(host: &str, default_port: u16) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(plain) {
        return None;
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') && !name.is_empty() => {
            port.parse::<u16>().ok()?;
            Some(host.to_owned())
        }
        Some((_, port)) if !port.ends_with(']') => None,
        _ => Some(format!("{host}:{default_port}")),
    }
}

/// Percent-encodes everything that has a meaning in a URL.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(urls: &[&str], credentials: Option<(&str, &str)>) -> IceServer {
        IceServer {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            username: credentials.map(|(name, _)| name.to_owned()),
            credential: credentials.map(|(_, password)| password.to_owned()),
        }
    }

    #[test]
    fn turn_credentials_are_escaped_into_the_url() {
        let servers = [
            server(&["stun:stun.example.org:3478"], None),
            server(
                &["turn:turn.example.org?transport=udp", "turn:[2001:db8::1]:443?transport=tcp"],
                Some(("1790000000:camera", "a/b+c=")),
            ),
        ];
        let servers = IceServers::new(&servers);
        assert_eq!(servers.stun.as_deref(), Some("stun://stun.example.org:3478"));
        assert_eq!(
            servers.turn,
            [
                "turn://1790000000%3Acamera:a%2Fb%2Bc%3D@turn.example.org:3478?transport=udp",
                "turn://1790000000%3Acamera:a%2Fb%2Bc%3D@[2001:db8::1]:443?transport=tcp",
            ]
        );
    }

    #[test]
    fn what_cannot_be_used_is_left_out() {
        let bad = server(
            &[
                "http://x",
                "turn:",
                "turn:a b",
                "turns:turn.example.org?transport=tcp",
                "turn:x?transport=sctp",
                "turn:x:99999",
                "stun:@x",
                "turn",
            ],
            Some(("u", "p")),
        );
        assert_eq!(IceServers::new(&[bad]), IceServers::default());
        let nameless = server(&["turn:x"], None);
        assert_eq!(IceServers::new(&[nameless]), IceServers::default(), "without credentials");
    }

    #[test]
    fn a_session_uses_one_stun_and_a_few_turn_servers() {
        let many: Vec<String> = (0..20).map(|index| format!("turn:turn{index}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).chain(["stun:a", "stun:b"]).collect();
        let servers = IceServers::new(&[server(&many, Some(("u", "p")))]);
        assert_eq!(servers.turn.len(), MAX_SERVERS);
        assert_eq!(servers.stun.as_deref(), Some("stun://a:3478"));
    }
}
