//! Sockets: DNS, TCP and TLS. The only floor that knows hickory, tokio's net and rustls connections.

mod buffer;
pub mod dial;
pub mod https;
pub mod inherited;
pub mod redirect;
pub mod resolver;
pub mod stream;
mod timer;
pub mod tls;
