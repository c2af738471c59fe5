//! `[source.rtsp]`: an IP camera.

use std::{fmt, path::PathBuf};

use serde::Deserialize;
use url::Url;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RtspConfig {
    /// The stream that is recorded and sent.
    pub url: StreamAddress,
    /// A smaller stream of the same camera. Motion and stills are taken from it: that costs less than
    /// decoding the large one.
    pub small_url: Option<StreamAddress>,
    /// A file that only the agent may read: the user name in its first line, the password in its
    /// second.
    pub login_file: Option<PathBuf>,
    #[serde(default)]
    pub transport: RtspTransport,
}

/// How a camera's packets come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RtspTransport {
    /// Within the connection that asks for them: nothing is lost, and no port is opened.
    #[default]
    Tcp,
    Udp,
}

/// The address of a stream. It is shown without what may hold a secret: many cameras want the
/// password in it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct StreamAddress(String);

impl StreamAddress {
    /// The whole of it, for the connection alone.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The camera's name or number, with the port where it says one.
    pub fn host(&self) -> &str {
        authority(&self.0).unwrap_or_default()
    }
}

impl TryFrom<String> for StreamAddress {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        match authority(&text) {
            Some(host) if host.contains('@') => {
                Err("the address holds a login: leave it out, and put it into login_file")
            }
            Some(_) if is_readable(&text) => Ok(Self(text)),
            _ => Err("this is no address of a stream: write it as rtsp://HOST:PORT/PATH"),
        }
    }
}

fn authority(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://")?;
    let is_rtsp = scheme.eq_ignore_ascii_case("rtsp");
    rest.split(['/', '?', '#']).next().filter(|_| is_rtsp)
}

/// Whether the client can read an address, and nothing in it would be left out.
fn is_readable(address: &str) -> bool {
    let blank = |letter: char| letter.is_control() || letter.is_whitespace();
    let has_host = |url: Url| url.host_str().is_some_and(|host| !host.is_empty());
    !address.contains(blank) && Url::parse(address).is_ok_and(has_host)
}

impl fmt::Display for StreamAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "rtsp://{}/…", self.host())
    }
}

impl fmt::Debug for StreamAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
