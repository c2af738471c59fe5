//! Requests of a simulated camera: handed to the simulation, which answers or lets them be lost.

use std::time::Duration;

use reqwest::{Request, RequestBuilder, Response};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::CloudError;

/// A request on its way.
#[derive(Debug)]
pub struct Exchange {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Dropping it is a connection that was refused or broke. While it is kept without an answer,
    /// the camera waits as long as it waits for any.
    pub answer: oneshot::Sender<http::Response<Vec<u8>>>,
}

/// Where the requests of simulated cameras go. When it is full, they wait.
#[derive(Debug, Clone)]
pub struct Wire(pub mpsc::Sender<Exchange>);

impl Wire {
    pub(super) async fn carry(
        &self,
        door: &str,
        request: RequestBuilder,
        longest: Duration,
    ) -> Result<Response, CloudError> {
        let request = request.build().map_err(|error| CloudError::from_transport(door, error))?;
        let longest = request.timeout().copied().unwrap_or(longest);
        let answered = async {
            let (answer, answered) = oneshot::channel();
            self.0.send(exchange(&request, answer)).await.ok()?;
            answered.await.ok()
        };
        match timeout(longest, answered).await {
            Ok(Some(answer)) => Ok(answer.into()),
            Ok(None) => Err(CloudError::unavailable(door, "the connection broke")),
            Err(_) => Err(CloudError::unavailable(door, "no answer in time")),
        }
    }
}

fn exchange(request: &Request, answer: oneshot::Sender<http::Response<Vec<u8>>>) -> Exchange {
    let headers = request.headers().iter();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    Exchange {
        method: request.method().to_string(),
        url: request.url().to_string(),
        headers: headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
        body: request.body().and_then(|body| body.as_bytes()).unwrap_or_default().to_vec(),
        answer,
    }
}
