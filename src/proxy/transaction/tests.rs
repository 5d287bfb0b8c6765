use std::sync::Arc;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::name::MailHost;
use crate::net::stream::{Socket, Wire};
use crate::policy::authorize::{Peer, authorize};
use crate::policy::handshake::WhyPlaintext;
use crate::policy::requirement::Requirement;
use crate::policy::verdict::Policy;
use crate::proxy::dialogue::Dialogue;
use crate::proxy::upstream::Greeted;
use crate::smtp::capabilities::Capabilities;
use crate::smtp::command::{Command, parse};
use crate::time::UnixTime;

const LONG: Duration = Duration::from_mins(1);

fn timeouts() -> Timeouts {
    Timeouts {
        idle: LONG,
        mta_data: LONG,
        connect: LONG,
        greeting: LONG,
        ehlo: LONG,
        tls_handshake: LONG,
        reused: LONG,
        mail: LONG,
        rcpt: LONG,
        data: LONG,
        data_block: LONG,
        data_end: LONG,
        ready: LONG,
        drain: LONG,
    }
}

fn recipient(line: &str) -> Recipient {
    match parse(line.as_bytes()).unwrap() {
        Command::Rcpt(recipient) => recipient,
        other => panic!("{other:?}"),
    }
}

/// A transaction with one recipient that was accepted, and the MX, which says no more from then on.
async fn begun() -> (Transaction, TcpStream) {
    begun_with(Capabilities::none()).await
}

async fn begun_with(offers: Capabilities) -> (Transaction, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let peer = Peer {
        host: MailHost::Address(address.ip()),
        address: address.ip(),
    };
    let wire = Wire::new(Socket::Plain(stream.unwrap()));
    let greeted = Greeted {
        dialogue: Dialogue::new(wire, peer.clone(), address.port()),
        offers,
    };
    let line = greeted.in_the_clear(WhyPlaintext::NotOffered);
    let requirement = Arc::new(Requirement::opportunistic());
    let authorized = authorize(&requirement, line.channel(), &peer, UnixTime(0)).unwrap();
    let Command::Mail(mail) = parse(b"MAIL FROM:<>").unwrap() else {
        panic!("MAIL");
    };
    let first = recipient("RCPT TO:<a@a.test>");
    let envelope = Envelope {
        destination: first.path.destination(),
        mail: &mail,
        recipients: &[&first],
        follows: Follows::Nothing,
    };
    let mut mx = accepted.unwrap().0;
    mx.write_all(b"250 Ok\r\n250 Ok\r\n").await.unwrap();
    let ready = line.ready(&peer, authorized, &requirement);
    let begun = ready.begin(&timeouts(), &envelope).await.unwrap();
    assert_eq!(begun.replies.len(), 1);
    let mut said = [0; 256];
    assert!(mx.read(&mut said).await.unwrap() > 0);
    (*begun.transaction, mx)
}

#[tokio::test]
async fn between_recipients_the_connection_can_carry_another_message() {
    let (transaction, _mx) = begun().await;
    let line = transaction.into_line().unwrap();
    assert_eq!(line.remembers, Remembers::Envelope);
}

#[tokio::test]
async fn a_small_message_goes_out_in_one_write_and_nothing_before_it() {
    let offers = Reply::multiline(250, &["mx.test", "CHUNKING"]);
    let (mut transaction, mut mx) = begun_with(Capabilities::parse(&offers)).await;
    let held = transaction.begin_data(SmallMessages::InOneChunk);
    assert_eq!(held.now_or_never().unwrap(), Ok(Ok(())));
    assert!(transaction.holds());
    let chunk = b"BDAT 6 LAST\r\ntext\r\n";
    transaction.one_chunk(chunk).await.unwrap();
    let mut said = [0; 256];
    let length = mx.read(&mut said).await.unwrap();
    assert_eq!(&said[..length], chunk);
    mx.write_all(b"250 Ok\r\n").await.unwrap();
    assert_eq!(transaction.end_of_data().await.unwrap().code(), 250);
    let line = transaction.into_line().unwrap();
    assert_eq!(line.remembers, Remembers::Nothing);
}

#[tokio::test]
async fn what_is_held_back_leaves_an_envelope_behind() {
    let offers = Reply::multiline(250, &["mx.test", "CHUNKING"]);
    let (mut transaction, _mx) = begun_with(Capabilities::parse(&offers)).await;
    let held = transaction.begin_data(SmallMessages::InOneChunk).await;
    assert_eq!(held, Ok(Ok(())));
    let line = transaction.into_line().unwrap();
    assert_eq!(line.remembers, Remembers::Envelope);
}

#[tokio::test]
async fn one_that_owes_a_reply_cannot() {
    let (mut transaction, _mx) = begun().await;
    let next = recipient("RCPT TO:<b@a.test>");
    let next = [&next];
    let asked = transaction.recipients(&next, Follows::Nothing);
    assert!(asked.now_or_never().is_none());
    assert!(transaction.into_line().is_none());

    let (mut transaction, _mx) = begun().await;
    let asked = transaction.begin_data(SmallMessages::WithData);
    assert!(asked.now_or_never().is_none());
    assert!(transaction.into_line().is_none());
}

#[tokio::test]
async fn a_connection_is_for_the_next_message_what_that_one_asks_of_it() {
    let (transaction, _mx) = begun().await;
    let first = Arc::clone(transaction.link());
    let mut line = transaction.into_line().unwrap();
    let same = Arc::clone(&first.requirement);
    let of_a_rule = Arc::new(Requirement {
        policy: Policy::Rule,
        ..Requirement::clone(&same)
    });
    let peer = line.dialogue.peer.clone();
    let by_name = Peer {
        host: MailHost::Named("mx.test".parse().unwrap()),
        ..peer.clone()
    };
    for (peer, requirement, is_the_first) in [
        (&peer, &same, true),
        (&by_name, &same, false),
        (&by_name, &of_a_rule, false),
    ] {
        let authorized = authorize(requirement, line.channel(), peer, UnixTime(0)).unwrap();
        let mut ready = line.ready(peer, authorized, requirement);
        let now = ready.link();
        assert_eq!(Arc::ptr_eq(&now, &first), is_the_first);
        assert_eq!(now.host, peer.host);
        assert!(Arc::ptr_eq(&now.requirement, requirement));
        line = ready.line;
    }
}
