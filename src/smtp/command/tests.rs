//! Tests of `smtp::command`.

use super::*;

fn mail(line: &str) -> Result<Mail, SyntaxError> {
    match parse(line.as_bytes())? {
        Command::Mail(mail) => Ok(mail),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn verbs_parse_in_any_case() {
    let good = |line: &str, want: Command| assert_eq!(parse(line.as_bytes()), Ok(want), "{line}");
    good("ehlo mta.example", Command::Ehlo("mta.example".to_owned()));
    good("HeLo x", Command::Helo("x".to_owned()));
    good("LHLO x", Command::Lhlo("x".to_owned()));
    good("DATA ", Command::Data);
    good("RSET", Command::Rset);
    good("noop whatever", Command::Noop);
    good("VRFY joe", Command::Vrfy);
    good("HELP", Command::Help);
    good("quit", Command::Quit);
    good("STARTTLS", Command::StartTls);
    good("EXPN list", Command::NotImplemented);
    good("AUTH PLAIN x", Command::NotImplemented);
    good(
        "BDAT 10",
        Command::Bdat(Chunk {
            size: 10,
            last: Last::No,
        }),
    );
    good(
        "bdat 0 last",
        Command::Bdat(Chunk {
            size: 0,
            last: Last::Yes,
        }),
    );
}

#[test]
fn mail_parses() {
    let all =
        mail("mail from: <joe@example.com> SIZE=100 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=QQ+2B1");
    let all = all.unwrap();
    assert_eq!(
        (all.size, all.body, all.charset),
        (Some(100), Some(Body::EightBitMime), Charset::Utf8)
    );
    assert_eq!(
        (all.ret.as_deref(), all.envid.as_deref()),
        (Some("HDRS"), Some("QQ+2B1"))
    );
    assert_eq!(mail("MAIL FROM:<>").unwrap().path, ReversePath::Null);
}

#[test]
fn rcpt_parses() {
    let line = b"RCPT TO:<joe@example.com> NOTIFY=success,delay ORCPT=rfc822;joe+2Bx@example.com";
    let Ok(Command::Rcpt(rcpt)) = parse(line) else {
        panic!()
    };
    assert_eq!(rcpt.notify.as_deref(), Some("SUCCESS,DELAY"));
    assert_eq!(rcpt.orcpt.unwrap().0, "rfc822;joe+2Bx@example.com");
}

#[test]
fn the_original_recipient_may_be_international() {
    for orcpt in [
        "rfc822;joe@b+C3+BCro.example",
        "utf-8;joe@b\\x{FC}ro.example",
        "utf-8;joe@büro.example",
    ] {
        let line = format!("RCPT TO:<joe@büro.example> ORCPT={orcpt}");
        let Ok(Command::Rcpt(rcpt)) = parse(line.as_bytes()) else {
            panic!("{orcpt}");
        };
        assert_eq!(rcpt.orcpt.unwrap().0, orcpt);
    }
}

#[test]
fn what_is_no_command_says_why() {
    let bad = |line: &str, status: &str| {
        let error = parse(line.as_bytes()).expect_err(line);
        assert_eq!(error.reply().status(), status, "{line}");
    };
    bad("", "500 5.5.2");
    bad("FOO", "500 5.5.2");
    bad("NOOP a\0b", "500 5.5.2");
    bad("NOOP a\u{80}b", "500 5.5.2");
    bad("NOOP a\u{9f}b", "500 5.5.2");
    bad("STARTTLSANDMORE", "500 5.5.2");
    bad("EHLO", "501 5.5.4");
    bad("DATA now", "501 5.5.4");
    bad("BDAT", "521 5.5.4");
    bad("BDAT -1", "521 5.5.4");
    bad("BDAT 99999999999999999999999", "521 5.5.4");
    bad("BDAT 1 FIRST", "521 5.5.4");
    bad("BDAT 1 LAST LAST", "521 5.5.4");
    bad("MAIL joe@example.com", "501 5.5.4");
    bad("MAIL FROM:joe@example.com", "501 5.1.7");
    bad("MAIL FROM:<joe>", "501 5.1.7");
    bad("MAIL FROM:<joe@example.com>SIZE=1", "501 5.5.4");
    bad("MAIL FROM:<joe@example.com> SIZE", "501 5.5.4");
    bad("MAIL FROM:<joe@example.com> SIZE=1 SIZE=1", "501 5.5.4");
    bad("MAIL FROM:<joe@example.com> SIZE=x", "501 5.5.4");
    bad("MAIL FROM:<joe@example.com> BODY=BINARYMIME", "501 5.6.1");
    bad("MAIL FROM:<joe@example.com> SMTPUTF8=1", "501 5.5.4");
    bad("MAIL FROM:<joe@example.com> ENVID=a=b", "501 5.5.4");
    bad("MAIL FROM:<joe@example.com> ENVID=+2b", "501 5.5.4");
    bad("MAIL FROM:<joe@example.com> ENVID=a+0D+0Ab", "501 5.5.4");
    bad("MAIL FROM:<joe@example.com> AUTH=<>", "555 5.5.4");
    bad("RCPT TO:<postmaster>", "501 5.1.3");
    bad(
        "RCPT TO:<joe@example.com> NOTIFY=NEVER,SUCCESS",
        "501 5.5.4",
    );
    bad("RCPT TO:<joe@example.com> NOTIFY=", "501 5.5.4");
    bad("RCPT TO:<joe@example.com> ORCPT=joe", "501 5.5.4");
    bad(
        "RCPT TO:<joe@example.com> ORCPT=rfc822;joe+0D+0A",
        "501 5.5.4",
    );
    bad("RCPT TO:<joe@example.com> ORCPT=rfc822;joe+7F", "501 5.5.4");
    bad("RCPT TO:<joe@example.com> XFOO", "555 5.5.4");
    assert_eq!(parse(b"NOOP \xff"), Err(SyntaxError::Characters));
}

#[test]
fn debug_shows_no_local_part() {
    let line = b"RCPT TO:<joe@example.com> ORCPT=rfc822;joe@example.com";
    assert!(!format!("{:?}", parse(line)).contains("joe"));
    assert!(!format!("{:?}", parse(b"MAIL FROM:<joe@example.com>")).contains("joe"));
}
