//! ICE servers as WHIP and WHEP name them: `Link: <turn:…>; rel="ice-server"; username="…"; …`.

use nightjar_shared::signal::IceServer;

/// Reads the servers of one header, which may hold several links.
pub(super) fn ice_servers(header: &str) -> Vec<IceServer> {
    let mut servers = Vec::new();
    let mut rest = header;
    while let Some((_, link)) = rest.split_once('<') {
        let Some((url, after)) = link.split_once('>') else { break };
        let (parameters, following) = parameters(after);
        rest = following;
        let value = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        if value("rel").as_deref() == Some("ice-server") {
            let urls = vec![url.to_owned()];
            let (username, credential) = (value("username"), value("credential"));
            servers.push(IceServer { urls, username, credential });
        }
    }
    servers
}

/// Reads the parameters `; key="value"; key=value`; returns what follows them, too.
fn parameters(mut text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        text = text.trim_start();
        let Some(after) = text.strip_prefix(';') else { return (found, text) };
        let (key, after) = after.split_at(after.find(['=', ';', ',']).unwrap_or(after.len()));
        let key = key.trim().to_owned();
        let Some(after) = after.strip_prefix('=') else {
            text = after;
            continue;
        };
        let after = after.trim_start();
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            quoted_value(quoted)
        } else {
            let end = after.find([';', ',']).unwrap_or(after.len());
            (after[..end].trim_end().to_owned(), &after[end..])
        };
        found.push((key, value));
        text = after;
    }
}

/// Reads up to the quote that ends a value; a backslash lets the next character stand for itself.
fn quoted_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, &text[index + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_with_their_credentials_however_they_are_written() {
        let servers = ice_servers(
            "<stun:stun.example.net>; rel=\"ice-server\", </style.css>;rel=preload, \
             <turn:turn.example.net?transport=udp>; rel=ice-server; username=\"a, \\\"b\\\"\"; \
             credential=\"c;d=\"; credential-type=\"password\"",
        );
        assert_eq!(servers.len(), 2);
        assert_eq!(servers[0].urls, ["stun:stun.example.net"]);
        assert_eq!(servers[0].username, None);
        assert_eq!(servers[1].urls, ["turn:turn.example.net?transport=udp"]);
        assert_eq!(servers[1].username.as_deref(), Some("a, \"b\""));
        assert_eq!(servers[1].credential.as_deref(), Some("c;d="));
    }

    #[test]
    fn what_is_no_link_is_no_server_and_ends() {
        for text in ["", "<", "<x>", "<x>;", "<x>;rel", "<x>; rel=\"ice-server", ";;;<>;=,<", "<x"]
        {
            assert!(ice_servers(text).len() <= 1, "{text}");
        }
    }
}
