//! A waxseal that answers questions, and clients of it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::house::{House, Setup};
use crate::support::within;
use crate::support::zone::Dns;

const LISTENER: &str = "[[listener]]\nkind = 'socketmap'\nlisten = '127.0.0.1:0'\n";
const ZONE: &str = "a.test MX 10 mx.a.test\nmx.a.test A 192.0.2.1\n\
                    open.test MX 10 mx.open.test\nmx.open.test A 192.0.2.2\n";
const RULES: &str = "[[rule]]\ndomains = ['a.test']\ntls = 'encrypt'";

/// A waxseal that answers questions and takes no mail.
pub(crate) struct World {
    pub(crate) dns: Dns,
    pub(crate) house: House,
}

impl World {
    pub(crate) async fn start(config: &str) -> Self {
        Self::with(ZONE, RULES, config).await
    }

    /// One with this zone and these rules.
    pub(crate) async fn with(zone: &str, rules: &str, config: &str) -> Self {
        let dns = Dns::start(zone).await;
        let config = format!("{LISTENER}{config}");
        let setup = Setup {
            config: &config,
            rules,
            ..Setup::default()
        };
        let house = House::start(&dns, 25, setup).await;
        Self { dns, house }
    }

    pub(crate) async fn postfix(&self) -> Postfix {
        Postfix::at(self.house.map()).await
    }

    pub(crate) async fn counted(&self, result: &str) -> f64 {
        let series = format!("waxseal_socketmap_requests_total{{result=\"{result}\"}}");
        self.house.metric(&series).await
    }

    pub(crate) async fn sessions(&self) -> f64 {
        let series = r#"waxseal_sessions{listener="socketmap"}"#;
        self.house.metric(series).await
    }
}

/// One connection of a client.
pub(crate) struct Postfix(pub(crate) TcpStream);

pub(crate) fn netstring(content: &str) -> String {
    format!("{}:{content},", content.len())
}

pub(crate) fn request(key: &str) -> String {
    netstring(&format!("waxseal {key}"))
}

impl Postfix {
    pub(crate) async fn at(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, wire: &str) {
        self.0.write_all(wire.as_bytes()).await.unwrap();
    }

    async fn octet(&mut self) -> u8 {
        within("a reply", self.0.read_u8()).await.unwrap()
    }

    /// The content of the next reply.
    pub(crate) async fn reply(&mut self) -> String {
        let mut length = String::new();
        loop {
            match self.octet().await {
                b':' => break,
                digit => length.push(char::from(digit)),
            }
        }
        let mut content = vec![0; length.parse().unwrap()];
        within("a reply", self.0.read_exact(&mut content))
            .await
            .unwrap();
        assert_eq!(self.octet().await, b',');
        String::from_utf8(content).unwrap()
    }

    pub(crate) async fn ask(&mut self, key: &str) -> String {
        self.send(&request(key)).await;
        self.reply().await
    }

    /// Nothing comes any more.
    pub(crate) async fn is_over(&mut self) {
        let mut rest = Vec::new();
        let read = within("the end", self.0.read_to_end(&mut rest)).await;
        assert!(read.is_err() || rest.is_empty(), "{rest:?}");
    }
}
