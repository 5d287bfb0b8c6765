//! What the web server has to prove.

use waxseal::mtasts::FetchError;

use super::{HOST, World, gone, text};
use crate::support::ca::{Ca, Leaf, Period, Role, Signer};
use crate::support::mx::Versions;
use crate::support::sts_host::{Site, Tls};

/// What TLS came to, for a web server with this certificate.
async fn shown(world: &World, leaf: Leaf) -> Result<(), String> {
    shown_of(world, Tls::Shows(world.ca.issue(leaf), Versions::All)).await
}

async fn shown_of(world: &World, tls: Tls) -> Result<(), String> {
    world.host.show(Site {
        tls,
        ..Site::policy(world.ca.server(HOST), &text())
    });
    match world.fetch().await {
        Ok(_) => Ok(()),
        Err(FetchError::Tls(why)) => Err(why),
        Err(other) => panic!("{other:?}"),
    }
}

fn for_name(name: &str) -> Leaf {
    Leaf::for_host(name)
}

#[tokio::test]
async fn a_certificate_has_to_be_good_in_every_way() {
    let world = World::new().await;
    let host = || for_name(HOST);
    let signed_by = |signer| Leaf { signer, ..host() };
    let untrusted = "the issuer of the certificate is not trusted (Test CA), or the server does not send an intermediate certificate";
    for (leaf, why) in [
        (
            Leaf {
                period: Period::Expired,
                ..host()
            },
            "the certificate expired on 2002-01-01T00:00:00Z",
        ),
        (
            Leaf {
                period: Period::NotYet,
                ..host()
            },
            "the certificate is not valid before 2090-01-01T00:00:00Z",
        ),
        (signed_by(Signer::Itself), untrusted),
        (signed_by(Signer::IntermediateNotSent), untrusted),
        (
            signed_by(Signer::Stranger),
            "a signature in the certificate chain is wrong",
        ),
        (
            Leaf {
                role: Role::ClientOnly,
                ..host()
            },
            "the certificate is not meant for servers",
        ),
        (
            Leaf {
                role: Role::Ca,
                ..host()
            },
            "the certificate is that of a CA, or self-signed as one",
        ),
    ] {
        assert_eq!(shown(&world, leaf).await, Err(why.to_owned()));
    }
    // Nobody asked anything of a server that proved nothing.
    assert_eq!(world.host.requests().len(), 0);
    gone(&world.host).await;
}

#[tokio::test]
async fn an_intermediate_authority_may_stand_between() {
    let world = World::new().await;
    for signer in [Signer::Intermediate, Signer::CaSent] {
        let leaf = Leaf {
            signer,
            ..for_name(HOST)
        };
        assert_eq!(shown(&world, leaf).await, Ok(()));
    }
}

#[tokio::test]
async fn another_authority_than_the_configured_one_is_not_trusted() {
    let world = World::new().await;
    let other = Ca::new("Other CA").server(HOST);
    let why = shown_of(&world, Tls::Shows(other, Versions::All)).await;
    assert!(why.unwrap_err().contains("not trusted (Test CA)"));
}

#[tokio::test]
async fn a_chain_of_a_hundred_namesakes_is_not_searched_through() {
    let world = World::new().await;
    let mut identity = Ca::new("Other CA").server(HOST);
    let namesake = || Ca::new("Other CA").certificate();
    identity.chain.extend((0..100).map(|_| namesake()));
    let why = shown_of(&world, Tls::Shows(identity, Versions::All)).await;
    // Not that the library gave up: it found no path among the few that it was shown.
    assert!(why.unwrap_err().contains("not trusted (Test CA)"));
}

#[tokio::test]
async fn the_name_is_that_of_the_web_server_or_one_wildcard() {
    let world = World::new().await;
    for good in [HOST, "*.a.test", "MTA-STS.A.test"] {
        assert_eq!(shown(&world, for_name(good)).await, Ok(()), "{good}");
    }
    for bad in [
        // The policy domain itself, and an MX of it.
        "a.test",
        "mx.a.test",
        // One label is all that a wildcard stands for, and it is the whole left-most one.
        "*.test",
        "*.*.test",
        "mta-*.a.test",
        "mta-sts.*.test",
        "*",
        "127.0.0.1",
    ] {
        let why = shown(&world, for_name(bad)).await.unwrap_err();
        let not_for = format!("the certificate is not for {HOST}, but ");
        assert!(why.starts_with(&not_for), "{bad}: {why}");
    }
}

#[tokio::test]
async fn a_common_name_does_not_count() {
    let world = World::new().await;
    let leaf = Leaf {
        common_name: Some(HOST.to_owned()),
        ..Leaf::default()
    };
    let why = shown(&world, leaf).await.unwrap_err();
    assert_eq!(
        why,
        format!(
            "the certificate is not for {HOST}, but has no DNS name in subjectAltName (a common name does not count)"
        )
    );
}

#[tokio::test]
async fn the_names_that_a_certificate_has_instead_are_told() {
    let world = World::new().await;
    let leaf = Leaf {
        names: (0..9).map(|n| format!("{n}.test")).collect(),
        ..Leaf::default()
    };
    let why = shown(&world, leaf).await.unwrap_err();
    assert_eq!(
        why,
        format!(
            r#"the certificate is not for {HOST}, but for "0.test", "1.test", "2.test", "3.test", "4.test" and 4 more"#
        )
    );
}

#[tokio::test]
async fn tls_1_2_will_do_and_nothing_below() {
    let world = World::new().await;
    let tls12 = Tls::Shows(world.ca.server(HOST), Versions::Only12);
    assert_eq!(shown_of(&world, tls12).await, Ok(()));
    // Alert 70, protocol_version (RFC 8446 §6).
    let alert = Tls::Breaks(b"\x15\x03\x01\x00\x02\x02\x46".to_vec());
    let why = shown_of(&world, alert).await.unwrap_err();
    assert_eq!(why, "the server broke it off: ProtocolVersion");
}

#[tokio::test]
async fn what_is_not_tls_is_told() {
    let world = World::new().await;
    for (said, why) in [
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "what the server says is not TLS",
        ),
        ("220 mx.a.test ESMTP\r\n", "what the server says is not TLS"),
        ("", "the server closed the connection during the handshake"),
    ] {
        let tls = Tls::Breaks(said.into());
        assert_eq!(shown_of(&world, tls).await, Err(why.to_owned()), "{said}");
    }
    gone(&world.host).await;
}
