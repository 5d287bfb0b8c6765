//! Sockets: DNS, TCP and TLS. The only floor that knows hickory, tokio's net and rustls connections.

pub mod dial;
pub mod https;
pub mod inherited;
pub mod resolver;
pub mod stream;
pub mod tls;
