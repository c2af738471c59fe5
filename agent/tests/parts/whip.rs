//! How the camera speaks WHIP (RFC 9725), as the other side sees it. A real SFU is met in `e2e`.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use nightjar_agent::cloud::{WhipClient, WhipError};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;

const OFFER: &str = "v=0\r\no=offer\r\n";
const ANSWER: &str = "v=0\r\no=answer\r\n";

/// A request as it came over the wire.
#[derive(Debug, Default)]
struct Request {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    async fn read(stream: &mut BufReader<TcpStream>) -> Self {
        let mut request = Self::default();
        stream.read_line(&mut request.line).await.unwrap();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            request.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = request.header("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        request.body = String::from_utf8(body).unwrap();
        request
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A server that answers one request after the other with what it was given, and then tells what
/// it was asked.
struct Server {
    address: String,
    served: JoinHandle<Vec<Request>>,
}

impl Server {
    async fn answering(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let served = TaskTracker::new().spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let mut stream = BufReader::new(listener.accept().await.unwrap().0);
                requests.push(Request::read(&mut stream).await);
                stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
            }
            requests
        });
        Self { address, served }
    }

    fn url(&self) -> String {
        format!("{}/whip/porch?app=live", self.address)
    }

    async fn was_asked(self) -> Vec<Request> {
        self.served.await.unwrap()
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn created(headers: &str) -> String {
    answer("201 Created", &format!("content-type: application/sdp\r\n{headers}"), ANSWER)
}

fn token_file() -> (tempfile::TempDir, Option<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, "s3cret\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    (directory, Some(path))
}

#[tokio::test]
async fn a_publication_is_offered_told_of_candidates_and_ended_with_token_and_etag() {
    let ok = answer("204 No Content", "", "");
    let links = "link: <stun:stun.example.net>; rel=\"ice-server\"\r\n\
        link: <turn:turn.example.net?transport=udp>; rel=\"ice-server\"; username=\"u\"; \
        credential=\"c\"; credential-type=\"password\"\r\n";
    let headers = format!("location: /session/7?key=1\r\netag: \"ice-1\"\r\n{links}");
    let server = Server::answering(vec![created(&headers), ok.clone(), ok]).await;
    let (_directory, token_file) = token_file();
    let whip = WhipClient::new(&server.url(), token_file).unwrap();

    let resource = whip.publish(OFFER.to_owned()).await.unwrap();
    assert_eq!(resource.answer, ANSWER);
    assert_eq!(resource.ice_servers.len(), 2);
    assert_eq!(resource.ice_servers[1].credential.as_deref(), Some("c"));
    assert!(!format!("{resource:?}").contains("s3cret"));
    whip.trickle(&resource, "a=mid:0\r\n".to_owned()).await.unwrap();
    whip.end(&resource).await.unwrap();

    let asked = server.was_asked().await;
    assert_eq!(asked[0].line, "POST /whip/porch?app=live HTTP/1.1\r\n");
    assert_eq!(asked[0].header("content-type"), Some("application/sdp"));
    assert_eq!(asked[0].body, OFFER);
    assert_eq!(asked[1].line, "PATCH /session/7?key=1 HTTP/1.1\r\n");
    assert_eq!(asked[1].header("content-type"), Some("application/trickle-ice-sdpfrag"));
    assert_eq!(asked[1].header("if-match"), Some("\"ice-1\""));
    assert_eq!(asked[2].line, "DELETE /session/7?key=1 HTTP/1.1\r\n");
    assert!(asked.iter().all(|it| it.header("authorization") == Some("Bearer s3cret")));
}

#[tokio::test]
async fn a_redirect_is_followed_and_another_host_does_not_get_the_token() {
    let second = Server::answering(vec![created("location: /session/1\r\n")]).await;
    let to = format!("location: {}\r\n", second.url());
    let here = answer("307 Temporary Redirect", "location: /busy\r\n", "");
    let there = answer("307 Temporary Redirect", &to, "");
    let first = Server::answering(vec![here, there]).await;
    let (_directory, token_file) = token_file();
    let whip = WhipClient::new(&first.url(), token_file).unwrap();
    whip.publish(OFFER.to_owned()).await.unwrap();
    let asked = first.was_asked().await;
    assert_eq!(asked[1].line, "POST /busy HTTP/1.1\r\n");
    assert_eq!(asked[1].header("authorization"), Some("Bearer s3cret"));
    let asked = second.was_asked().await;
    assert_eq!((asked[0].body.as_str(), asked[0].header("authorization")), (OFFER, None));
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let round = answer("307 Temporary Redirect", "location: /again\r\n", "");
    let server = Server::answering(vec![round; 4]).await;
    let whip = WhipClient::new(&server.url(), None).unwrap();
    let error = whip.publish(OFFER.to_owned()).await.unwrap_err();
    assert!(error.to_string().contains("redirect"), "{error}");
}

#[tokio::test]
async fn a_refused_token_is_named_by_its_setting_and_a_missing_one_too() {
    let refusal = answer("401 Unauthorized", "www-authenticate: Bearer\r\n", "s3cret is wrong");
    let (_directory, token_file) = token_file();
    for (token_file, remedy) in [(token_file, "put a token"), (None, "it wants a token")] {
        let server = Server::answering(vec![refusal.clone()]).await;
        let whip = WhipClient::new(&server.url(), token_file).unwrap();
        let error = whip.publish(OFFER.to_owned()).await.unwrap_err();
        assert!(matches!(error, WhipError::Unauthorized { status: 401, .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(remedy) && message.contains("live.sfu.token_file"), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[tokio::test]
async fn answers_that_are_none_are_told_apart() {
    for (answered, said) in [
        (created(""), "without a Location"),
        (created("location: http://sfu.example/1\r\n"), "without a Location"),
        (answer("200 OK", "", ANSWER), "another success"),
        (answer("404 Not Found", "", ""), "404"),
        (answer("503 Busy", "retry-after: 9\r\n", ""), "503"),
        (answer("307 Go", "location: ftp://x/\r\n", ""), "redirect to nowhere"),
        (String::new(), "POST to the WHIP endpoint"),
    ] {
        let server = Server::answering(vec![answered]).await;
        let whip = WhipClient::new(&server.url(), None).unwrap();
        let error = whip.publish(OFFER.to_owned()).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error} should say {said}");
    }
}
