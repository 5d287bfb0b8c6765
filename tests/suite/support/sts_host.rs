//! `support::sts_host` under a client that takes every byte.

use std::{io, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::support::{
    ca::Ca,
    mx::Versions,
    net::loopback,
    sts_host::{Answer, End, Framing, Response, Site, StsHost, Tls, policy},
    within,
};

const NAME: &str = "mta-sts.a.test";
const ASK: &[u8] = b"GET /x HTTP/1.1\r\nHost: mta-sts.a.test\r\nx-who: me\r\n\r\n";

fn text() -> String {
    policy("enforce", 86_400, &["mx.a.test", "*.b.test"])
}

async fn host(ca: &Ca) -> StsHost {
    let site = Site::policy(ca.server(NAME), &text());
    StsHost::start(&loopback(), 0, site).await
}

/// What comes back until the connection ends, and how it ends.
async fn ask(ca: &Ca, host: &StsHost) -> (String, io::Result<()>) {
    let mut seen = Vec::new();
    let end = within("the end of a connection", get(ca, host, &mut seen)).await;
    (String::from_utf8_lossy(&seen).into_owned(), end)
}

async fn get(ca: &Ca, host: &StsHost, seen: &mut Vec<u8>) -> io::Result<()> {
    let roots = RootCertStore {
        roots: ca.roots().anchors.clone(),
    };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(host.address()).await?;
    let name = ServerName::try_from(NAME).unwrap();
    let mut tls = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await?;
    tls.write_all(ASK).await?;
    while seen.len() < 1_000_000 && tls.read_buf(seen).await? > 0 {}
    Ok(())
}

#[tokio::test]
async fn a_policy_is_served_and_the_request_remembered() {
    let ca = Ca::new("Test CA");
    let host = host(&ca).await;
    let (seen, end) = ask(&ca, &host).await;
    end.unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    let length = format!("Content-Length: {}", body.len());
    let fields: Vec<&str> = head.lines().collect();
    assert_eq!(
        fields,
        ["HTTP/1.1 200 Whatever", "Content-Type: text/plain", &length]
    );
    assert_eq!(
        body,
        "version: STSv1\r\nmode: enforce\r\nmx: mx.a.test\r\nmx: *.b.test\r\nmax_age: 86400\r\n"
    );
    let request = host.request();
    assert_eq!(request.line(), "GET /x HTTP/1.1");
    assert_eq!(request.sni.as_deref(), Some(NAME));
    assert_eq!(request.field("X-Who"), Some("me"));
    assert_eq!(request.field("Accept"), None);
    host.idle().await;
    assert_eq!((host.connections(), host.record().closed), (1, 1));
}

#[tokio::test]
async fn a_site_changes_while_it_is_served() {
    let ca = Ca::new("Test CA");
    let host = host(&ca).await;
    host.answer(Response::redirect(301, "https://c.test/"));
    let (seen, _) = ask(&ca, &host).await;
    assert!(seen.starts_with("HTTP/1.1 301 "), "{seen}");
    assert!(seen.contains("\r\nLocation: https://c.test/\r\n"), "{seen}");
    host.show(Site::policy(ca.server("other.test"), ""));
    ask(&ca, &host).await.1.unwrap_err();
    host.idle().await;
    assert_eq!(host.record().failed_handshakes.len(), 1);
}

#[tokio::test]
async fn sites_share_one_port() {
    let ca = Ca::new("Test CA");
    let site = || Site::policy(ca.server(NAME), &text());
    let [ip1, ip2] = [loopback(), loopback()];
    let [first, second] = StsHost::together([(&ip1, site()), (&ip2, site())]).await;
    assert_eq!(first.port(), second.port());
    ask(&ca, &second).await.1.unwrap();
    assert_eq!((first.connections(), second.connections()), (0, 1));
}

#[tokio::test]
async fn answers_are_held_back_until_they_are_let_go() {
    let ca = Ca::new("Test CA");
    let host = host(&ca).await;
    host.hold();
    let held = async {
        host.until("a request", |record| record.requests.len() == 1)
            .await;
        assert_eq!(host.record().closed, 0);
        host.release();
    };
    let ((seen, _), ()) = tokio::join!(ask(&ca, &host), held);
    assert!(seen.ends_with(&text()));
}

#[tokio::test]
async fn a_body_is_framed_in_every_way() {
    let ca = Ca::new("Test CA");
    let host = host(&ca).await;
    for (framing, field, body) in [
        (Framing::Claims(99), "\r\nContent-Length: 99\r\n", "abcde"),
        (Framing::Close, "text/plain\r\n\r\n", "abcde"),
        (
            Framing::Chunked(3),
            "\r\nTransfer-Encoding: chunked\r\n",
            "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        ),
    ] {
        host.answer(Response {
            framing,
            version: "HTTP/1.0",
            ..Response::text("abcde")
        });
        let (seen, end) = ask(&ca, &host).await;
        end.unwrap();
        assert!(seen.starts_with("HTTP/1.0 200 "), "{seen}");
        assert!(seen.contains(field), "{seen}");
        assert!(seen.ends_with(&format!("\r\n\r\n{body}")), "{seen}");
    }
}

#[tokio::test]
async fn a_connection_is_cut_off_or_stays_or_is_reset() {
    let ca = Ca::new("Test CA");
    let host = host(&ca).await;
    let end = End::Cut;
    host.answer(Response {
        end,
        ..Response::default()
    });
    let error = ask(&ca, &host).await.1.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    host.answer(Response {
        end: End::Never,
        ..Response::text("abcde")
    });
    let stays = tokio::time::timeout(Duration::from_millis(200), ask(&ca, &host)).await;
    assert!(stays.is_err());
    host.answer(Answer::Resets);
    let error = ask(&ca, &host).await.1.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    host.idle().await;
}

#[tokio::test]
async fn an_endless_answer_ends_with_the_client() {
    let ca = Ca::new("Test CA");
    let host = host(&ca).await;
    let first = b"first".to_vec();
    host.answer(Answer::Endless(first, vec![b'x'; 1000], Duration::ZERO));
    let (seen, _) = ask(&ca, &host).await;
    assert!(seen.starts_with("firstxxx") && seen.len() >= 1_000_000);
    host.idle().await;
}

#[tokio::test]
async fn a_handshake_is_broken_or_never_comes() {
    let ca = Ca::new("Test CA");
    let host = host(&ca).await;
    let mut site = Site::policy(ca.server(NAME), &text());
    for (tls, kind) in [
        (Tls::Breaks(b"SSH-2.0".to_vec()), io::ErrorKind::InvalidData),
        (Tls::Breaks(Vec::new()), io::ErrorKind::UnexpectedEof),
        (Tls::Resets, io::ErrorKind::ConnectionReset),
    ] {
        site.tls = tls;
        host.show(site.clone());
        assert_eq!(ask(&ca, &host).await.1.unwrap_err().kind(), kind);
    }
    site.tls = Tls::Shows(ca.server(NAME), Versions::Only12);
    host.show(site.clone());
    ask(&ca, &host).await.1.unwrap();
    site.tls = Tls::Stalls;
    host.show(site);
    let silence = tokio::time::timeout(Duration::from_millis(200), ask(&ca, &host)).await;
    assert!(silence.is_err());
    host.idle().await;
}
