//! Tests of `smtp::session`.

use super::*;
use crate::smtp::command::parse;

fn session(flavour: Flavour) -> Session {
    Session::new(Arc::new(settings(flavour)))
}

fn settings(flavour: Flavour) -> Settings {
    Settings {
        flavour,
        hostname: "wax.example".into(),
        max_size: Some(1000),
        starttls: StartTls::NotOffered,
        max_recipients: 3,
        max_legs: 2,
        max_errors: 100,
    }
}

/// What a session does, in a few words; every recipient is accepted at once.
fn say(session: &mut Session, line: &str) -> String {
    match session.command(parse(line.as_bytes())) {
        Action::Reply(reply) | Action::Reset(reply) => reply.status(),
        Action::Recipient(_) => {
            session.recipient_answered(Answered::Accepted);
            "accepted".to_owned()
        }
        Action::Data => "data".to_owned(),
        Action::Chunk(chunk) => format!("chunk {}", chunk.size),
        Action::SwallowChunk(octets, reply) => format!("swallow {octets}, {}", reply.status()),
        Action::StartTls(reply) => format!("starttls {}", reply.status()),
        Action::Hello(hello) => {
            let offers = ["mx", "SIZE 9", "STARTTLS", "XFOO"];
            let reply = session.mx_greeted(&hello, Reply::multiline(250, &offers));
            format!("hello {hello:?}: {}", texts(&reply))
        }
        Action::PassStartTls => "pass".to_owned(),
        Action::Quit(reply) => format!("quit {}", reply.status()),
        Action::Close(reply) => format!("close {}", reply.status()),
    }
}

fn texts(reply: &Reply) -> String {
    let lines = reply.lines();
    let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line)).collect();
    lines.join(", ")
}

fn dialogue(mut session: Session, lines: &[(&str, &str)]) {
    for (line, want) in lines {
        assert_eq!(say(&mut session, line), *want, "{line}");
    }
}

#[test]
fn a_session_with_an_mx_of_the_mtas_choice_shows_that_mx() {
    dialogue(
        session(Flavour::Transparent),
        &[
            ("MAIL FROM:<a@a.example>", "503 5.5.1"),
            ("LHLO mta", "500 5.5.1"),
            ("HELO mta", "hello Helo(\"mta\"): mx"),
            (
                "EHLO mta",
                "hello Ehlo(\"mta\"): mx, SIZE 9, LIMITS RCPTDOMAINMAX=1",
            ),
            ("STARTTLS", "502 5.5.1"),
            ("MAIL FROM:<a@a.example>", "250 2.1.0"),
            ("RCPT TO:<b@b.example>", "accepted"),
            ("RCPT TO:<c@c.example>", "452 4.5.3"),
            ("DATA", "data"),
        ],
    );
    let settings = Settings {
        starttls: StartTls::PassedOn,
        ..settings(Flavour::Transparent)
    };
    dialogue(
        Session::new(Arc::new(settings)),
        &[
            (
                "EHLO mta",
                "hello Ehlo(\"mta\"): mx, SIZE 9, STARTTLS, LIMITS RCPTDOMAINMAX=1",
            ),
            ("STARTTLS", "pass"),
        ],
    );
}

#[test]
fn an_mx_that_refuses_ehlo_is_heard_and_has_not_been_greeted() {
    let mut session = session(Flavour::Transparent);
    let hello = Hello::Ehlo("mta".to_owned());
    let reply = session.mx_greeted(&hello, Reply::new(502, "", "what?"));
    assert_eq!(reply.code(), 502);
    assert_eq!(say(&mut session, "MAIL FROM:<a@a.example>"), "503 5.5.1");
}

#[test]
fn a_transaction_takes_its_course() {
    dialogue(
        session(Flavour::Relay),
        &[
            ("EHLO mta", "250"),
            ("MAIL FROM:<a@a.example>", "250 2.1.0"),
            ("RCPT TO:<b@b.example>", "accepted"),
            ("DATA", "data"),
            ("NOOP", "250 2.0.0"),
            ("VRFY b", "252 2.1.5"),
            ("HELP", "214 2.0.0"),
            ("RSET", "250 2.0.0"),
            ("QUIT", "quit 221 2.0.0"),
        ],
    );
}

#[test]
fn commands_out_of_order_are_refused() {
    dialogue(
        session(Flavour::Relay),
        &[
            ("MAIL FROM:<a@a.example>", "503 5.5.1"),
            ("RCPT TO:<b@b.example>", "503 5.5.1"),
            ("DATA", "503 5.5.1"),
            ("BDAT 10", "swallow 10, 503 5.5.1"),
            ("LHLO x", "500 5.5.1"),
            ("STARTTLS", "502 5.5.1"),
            ("EXPN x", "502 5.5.1"),
            ("HELO mta", "250"),
            ("MAIL FROM:<a@a.example>", "250 2.1.0"),
            ("MAIL FROM:<a@a.example>", "503 5.5.1"),
            ("DATA", "554 5.5.1"),
            ("BDAT 5 LAST", "swallow 5, 554 5.5.1"),
            ("MAIL FROM:<a@a.example> SIZE=1001", "503 5.5.1"),
            ("RSET", "250 2.0.0"),
            ("MAIL FROM:<a@a.example> SIZE=1001", "552 5.3.4"),
            ("MAIL FROM:<ä@a.example>", "553 5.6.7"),
        ],
    );
}

#[test]
fn a_relay_transaction_has_one_recipient_domain() {
    dialogue(
        session(Flavour::Relay),
        &[
            ("EHLO mta", "250"),
            ("MAIL FROM:<>", "250 2.1.0"),
            ("RCPT TO:<a@b.example>", "accepted"),
            ("RCPT TO:<a@c.example>", "452 4.5.3"),
            ("RCPT TO:<b@B.example>", "accepted"),
        ],
    );
}

#[test]
fn another_domain_may_begin_once_all_of_the_first_are_refused() {
    let mut session = session(Flavour::Relay);
    say(&mut session, "EHLO mta");
    say(&mut session, "MAIL FROM:<>");
    let first = session.command(parse(b"RCPT TO:<a@b.example>"));
    assert!(matches!(first, Action::Recipient(_)));
    assert_eq!(say(&mut session, "RCPT TO:<a@c.example>"), "452 4.5.3");
    session.recipient_answered(Answered::Refused);
    assert_eq!(say(&mut session, "RCPT TO:<a@c.example>"), "accepted");
}

#[test]
fn lmtp_takes_many_domains_up_to_its_limits() {
    dialogue(
        session(Flavour::Lmtp),
        &[
            ("EHLO mta", "500 5.5.1"),
            ("HELO mta", "500 5.5.1"),
            ("LHLO mta", "250"),
            ("MAIL FROM:<>", "250 2.1.0"),
            ("RCPT TO:<a@b.example>", "accepted"),
            ("RCPT TO:<a@c.example>", "accepted"),
            ("RCPT TO:<a@d.example>", "452 4.5.3"),
            ("RCPT TO:<b@c.example>", "accepted"),
            ("RCPT TO:<c@c.example>", "452 4.5.3"),
        ],
    );
}

#[test]
fn after_bdat_only_bdat_goes_on() {
    dialogue(
        session(Flavour::Lmtp),
        &[
            ("LHLO mta", "250"),
            ("MAIL FROM:<>", "250 2.1.0"),
            ("RCPT TO:<a@b.example>", "accepted"),
            ("BDAT 10", "chunk 10"),
            ("DATA", "503 5.5.1"),
            ("RCPT TO:<b@b.example>", "503 5.5.1"),
            ("NOOP", "250 2.0.0"),
            ("BDAT 0 LAST", "chunk 0"),
        ],
    );
}

#[test]
fn tls_that_is_required_comes_before_mail_and_forgets_what_was_said() {
    let settings = Settings {
        starttls: StartTls::Required,
        ..settings(Flavour::Relay)
    };
    let mut session = Session::new(Arc::new(settings));
    assert!(session.advertised().contains(&"STARTTLS".to_owned()));
    assert_eq!(say(&mut session, "EHLO mta"), "250");
    assert_eq!(say(&mut session, "MAIL FROM:<>"), "530 5.7.0");
    assert_eq!(say(&mut session, "STARTTLS"), "starttls 220 2.0.0");
    session.tls_started();
    assert!(!session.advertised().contains(&"STARTTLS".to_owned()));
    assert_eq!(say(&mut session, "MAIL FROM:<>"), "503 5.5.1");
    assert_eq!(say(&mut session, "STARTTLS"), "503 5.5.1");
    assert_eq!(say(&mut session, "EHLO mta"), "250");
    assert_eq!(say(&mut session, "MAIL FROM:<>"), "250 2.1.0");
}

#[test]
fn too_many_errors_close_the_session() {
    let settings = Settings {
        max_errors: 2,
        ..settings(Flavour::Relay)
    };
    dialogue(
        Session::new(Arc::new(settings)),
        &[("FOO", "500 5.5.2"), ("FOO", "close 421 4.7.0")],
    );
}

#[test]
fn what_is_advertised_is_what_can_be_bridged() {
    assert_eq!(
        session(Flavour::Relay).advertised(),
        [
            "wax.example",
            "PIPELINING",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "DSN",
            "SMTPUTF8",
            "CHUNKING",
            "SIZE 1000",
            "LIMITS RCPTMAX=3 RCPTDOMAINMAX=1",
        ]
    );
    assert!(
        session(Flavour::Lmtp)
            .advertised()
            .contains(&"LIMITS RCPTMAX=3".to_owned())
    );
}
