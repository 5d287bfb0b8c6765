//! `waxseal doctor --host`: whether a mail server greets.

use waxseal::config::Config;
use waxseal::doctor::{self, Running, State};

use crate::support::mx::{Mx, Script, last_reply};
use crate::support::zone::Dns;

#[tokio::test]
async fn it_tells_whether_a_mail_server_can_be_reached() {
    let away = Script {
        greeting: Some(last_reply(554, "5.3.2 no service here").into()),
        ..Script::default()
    };
    let [mx, _away] =
        Mx::together([("127.2.140.1", Script::default()), ("127.2.140.2", away)]).await;
    let zone = "mx.test A 127.2.140.1\naway.test A 127.2.140.2\ndown.test A 127.2.140.3\n";
    let dns = Dns::start(zone).await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        r#"
        admin = {{ enabled = false }}
        listener = [{{ kind = "relay", listen = "127.0.0.1:0" }}]
        store = {{ path = ":memory:" }}
        dns = {{ servers = ["{}"], timeout = "1s", attempts = 1, dnssec = "off" }}
        mx = {{ port = {}, allow_networks = ["127.0.0.0/8"] }}
        "#,
        dns.address(),
        mx.port()
    );
    let config = Config::parse(&text, &folder.path().join("waxseal.toml")).unwrap();
    let port = mx.port();
    for (host, state, line) in [
        (
            "mx.test",
            State::Well,
            format!("ok       mail server    mx.test[127.2.140.1]:{port}: it greets\n"),
        ),
        (
            "away.test",
            State::Broken,
            format!(
                "broken   mail server    away.test[127.2.140.2]:{port}: it says \"554\" instead of 220\n"
            ),
        ),
        (
            "down.test",
            State::Broken,
            format!(
                "broken   mail server    down.test[127.2.140.3]:{port}: cannot connect: connection refused\n"
            ),
        ),
        (
            "gone.test",
            State::Broken,
            "broken   mail server    gone.test has no address\n".to_owned(),
        ),
    ] {
        let host = host.parse().unwrap();
        let found = doctor::run(&config, &Running::Nobody, Some(&host)).await;
        assert!(
            found.text().contains(&line),
            "no {line:?} in {}",
            found.text()
        );
        assert!(found.state() >= state, "{}", found.text());
    }
}
