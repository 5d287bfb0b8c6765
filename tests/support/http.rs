//! The least HTTP client that the admin endpoint needs.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// What came back.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// GET.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Response {
    request(address, "GET", path, "").await
}

/// POST without a body; `headers` are whole lines with CRLF.
pub(crate) async fn post(address: SocketAddr, path: &str, headers: &str) -> Response {
    request(address, "POST", path, headers).await
}

/// POST of JSON.
pub(crate) async fn post_json(address: SocketAddr, path: &str, body: &str) -> Response {
    let headers = "Content-Type: application/json\r\n";
    send(address, "POST", path, headers, body).await
}

/// DELETE.
pub(crate) async fn delete(address: SocketAddr, path: &str) -> Response {
    request(address, "DELETE", path, "").await
}

async fn request(address: SocketAddr, method: &str, path: &str, headers: &str) -> Response {
    send(address, method, path, headers, "").await
}

async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Response {
    let length = body.len();
    let text = within("an HTTP response", async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    })
    .await;
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole response");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Response {
        status: status.expect("a status line"),
        body: body.to_owned(),
    }
}
