use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::access::Token;
use super::*;
use crate::policy::delivery_id::DeliveryId;
use crate::time::UnixTime;

mod desks;

use desks::admin;

/// An endpoint of its own on loopback, and where it is.
async fn endpoint(admin: &Admin, token: Option<&str>) -> (JoinHandle<()>, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let token = token.map(|token| Token::new(token).unwrap());
    let listener = Listener {
        listen: address,
        access: Access::new(address, token, Vec::new()),
        tls: None,
    };
    let served = tokio::spawn(serve(socket, listener, admin.clone()));
    (served, address)
}

/// Serves one request on a fresh endpoint on loopback and returns the response as it came.
async fn ask(admin: &Admin, request: &str) -> String {
    ask_with(admin, None, &format!("{request}Host: localhost\r\n")).await
}

/// The same, with a token and without a Host.
async fn ask_with(admin: &Admin, token: Option<&str>, request: &str) -> String {
    let (served, address) = endpoint(admin, token).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    served.abort();
    response
}

fn status_and_body(response: &str) -> (&str, &str) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (&head["HTTP/1.1 ".len()..][..3], body)
}

#[tokio::test]
async fn who_says_nothing_makes_room_for_others() {
    let (_served, address) = endpoint(&admin(Ok("")), None).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\n")
            .await
            .unwrap();
        silent.push(stream);
    }
    let mut late = TcpStream::connect(address).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    late.write_all(request).await.unwrap();
    tokio::time::pause();
    let mut response = String::new();
    late.read_to_string(&mut response).await.unwrap();
    assert_eq!(status_and_body(&response), ("200", "ok\n"));
}

#[tokio::test]
async fn metrics_are_in_the_format_of_prometheus() {
    let response = ask(&admin(Ok("")), "GET /metrics HTTP/1.1\r\n").await;
    assert_eq!(status_and_body(&response), ("200", "waxseal_rules 7\n"));
    assert!(
        response.contains("content-type: text/plain; version=0.0.4\r\n"),
        "{response}"
    );
}

#[tokio::test]
async fn ready_means_ready_for_mail() {
    let admin = admin(Ok(""));
    let health = ask(&admin, "GET /healthz HTTP/1.1\r\n").await;
    assert_eq!(status_and_body(&health), ("200", "ok\n"));
    for (state, status, word) in [
        (State::Starting, "503", "starting"),
        (State::Ready, "200", "ready"),
        (State::Draining, "503", "draining"),
    ] {
        admin.readiness.enter(state);
        let response = ask(&admin, "GET /readyz HTTP/1.1\r\n").await;
        let (found, body) = status_and_body(&response);
        assert_eq!(found, status);
        let begin = format!("{{\"state\":\"{word}\",\"version\":\"");
        assert!(body.starts_with(&begin), "{body}");
        assert!(
            body.ends_with("\"last_reload\":null,\"dnssec\":null,\"store\":null}"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_failed_reload_is_told_and_waxseal_stays_ready() {
    let admin = admin(Err("x.toml:1:1: wrong"));
    admin.readiness.enter(State::Ready);
    let response = ask(&admin, "POST /reload HTTP/1.1\r\n").await;
    assert_eq!(
        status_and_body(&response),
        (
            "500",
            r#"{"status":500,"title":"Internal Server Error","detail":"not reloaded, the configuration before stays in force: x.toml:1:1: wrong"}"#
        )
    );
    admin.readiness.reloaded(LastReload {
        at: UnixTime(0),
        result: Err("x.toml:1:1: wrong".to_owned()),
    });
    let response = ask(&admin, "GET /readyz HTTP/1.1\r\n").await;
    let (status, body) = status_and_body(&response);
    assert_eq!(status, "200");
    assert!(
        body.contains(
            r#""result":"failed","at":"1970-01-01T00:00:00Z","detail":"x.toml:1:1: wrong""#
        ),
        "{body}"
    );
}

#[tokio::test]
async fn a_reload_is_for_this_machine_and_not_for_web_pages() {
    let admin = admin(Ok("7 rules"));
    let response = ask(&admin, "POST /reload HTTP/1.1\r\n").await;
    assert_eq!(status_and_body(&response), ("200", "7 rules\n"));
    let response = ask(&admin, "POST /reload HTTP/1.1\r\nOrigin: http://x\r\n").await;
    assert_eq!(status_and_body(&response).0, "403");
}

#[tokio::test]
async fn a_refusal_names_its_cure_and_no_answer_is_kept() {
    let admin = admin(Ok("7 rules"));
    let token = Some("0123456789abcdef");
    for (request, status, says) in [
        (
            "POST /reload HTTP/1.1\r\nHost: localhost\r\n",
            "401",
            "www-authenticate: Bearer\r\n",
        ),
        (
            "POST /reload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0123456789abcdef\r\n",
            "200",
            "7 rules\n",
        ),
        (
            "GET /metrics HTTP/1.1\r\nHost: rebound.example\r\n",
            "421",
            "[admin] hosts",
        ),
        (
            "GET /nowhere HTTP/1.1\r\nHost: rebound.example\r\n",
            "421",
            "[admin] hosts",
        ),
        (
            "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:1\r\n",
            "200",
            "waxseal_rules 7\n",
        ),
        (
            "GET /metrics HTTP/1.1\r\n",
            "421",
            "application/problem+json",
        ),
    ] {
        let response = ask_with(&admin, token, request).await;
        assert_eq!(status_and_body(&response).0, status, "{request}");
        assert!(response.contains(says), "{request}: {response}");
        for header in [
            "cache-control: no-store\r\n",
            "x-content-type-options: nosniff\r\n",
            "frame-ancestors 'none'\r\n",
        ] {
            assert!(response.contains(header), "{request}: {response}");
        }
    }
}

#[tokio::test]
async fn policies_are_shown_refreshed_and_forgotten() {
    let admin = admin(Ok(""));
    for (request, status, says) in [
        ("GET /api/v1/policies", "200", "\"next\":\"None 100\""),
        (
            "GET /api/v1/policies?after=b.example&limit=1000",
            "200",
            "Some(b.example) 1000",
        ),
        ("GET /api/v1/policies?after=a..b", "400", "is not a domain"),
        ("GET /api/v1/policies?limit=x", "400", "limit"),
        ("GET /api/v1/policies?limit=1001", "400", "from 1 to 1000"),
        ("GET /api/v1/policies?page=2", "400", "unknown field"),
        ("GET /api/v1/policies/%ff", "400", "UTF-8"),
        (
            "GET /api/v1/policies/A.example",
            "200",
            "\"mx\":[\"*.a.example\"]",
        ),
        ("GET /api/v1/policies/b.example", "404", "waxseal check"),
        ("GET /api/v1/policies/b..example", "400", "is not a domain"),
        (
            "POST /api/v1/policies/a.example/refresh",
            "502",
            "no answer in time",
        ),
        ("DELETE /api/v1/policies/a.example", "204", ""),
        (
            "DELETE /api/v1/policies/b.example",
            "404",
            "\"detail\":\"no MTA-STS policy",
        ),
        ("PUT /api/v1/policies/a.example", "405", "openapi.json"),
    ] {
        let response = ask(&admin, &format!("{request} HTTP/1.1\r\n")).await;
        let (found, body) = status_and_body(&response);
        assert_eq!(found, status, "{request}: {body}");
        assert!(body.contains(says), "{request}: {body}");
    }
    let from_a_page = "DELETE /api/v1/policies/a.example HTTP/1.1\r\nOrigin: http://x\r\n";
    let response = ask(&admin, from_a_page).await;
    assert_eq!(status_and_body(&response).0, "403");
}

#[tokio::test]
async fn totals_rules_health_and_checks_are_told() {
    let admin = admin(Ok("7 rules"));
    for (request, status, says) in [
        (
            "GET /api/v1/totals",
            "200",
            r#""sealed":3,"open":2,"blocked":1,"#,
        ),
        (
            "GET /api/v1/rules",
            "200",
            r#""total":0,"rules":[],"next":100}"#,
        ),
        (
            "GET /api/v1/rules?skip=5&limit=7",
            "200",
            r#""total":5,"rules":[],"next":7}"#,
        ),
        ("GET /api/v1/rules?skip=-1", "400", "skip"),
        ("GET /api/v1/rules?skip=1000001", "400", "from 0 to 1000000"),
        ("GET /api/v1/rules?limit=0", "400", "from 1 to 1000"),
        ("GET /api/v1/health", "200", r#""state":"starting""#),
        ("GET /api/v1/check/A.example", "200", r#""None""#),
        (
            "GET /api/v1/check/a.example?sender=b.example",
            "200",
            "b.example",
        ),
        (
            "GET /api/v1/check/a.example?sender=b..example",
            "400",
            "`b..example` is not a domain",
        ),
        ("GET /api/v1/check/a..b", "400", "`a..b` is not a domain"),
        ("GET /api/v1/check/b.example", "429", "too many checks"),
        ("POST /api/v1/reload", "200", r#"{"result":"7 rules"}"#),
        ("GET /api/v1/openapi.json", "200", r#""openapi":"3.1.0""#),
    ] {
        let response = ask(&admin, &format!("{request} HTTP/1.1\r\n")).await;
        let (found, body) = status_and_body(&response);
        assert_eq!(found, status, "{request}: {body}");
        assert!(body.contains(says), "{request}: {body}");
        let kind = if status == "200" {
            "application/json"
        } else {
            "application/problem+json"
        };
        assert!(
            response.contains(&format!("content-type: {kind}\r\n")),
            "{response}"
        );
    }
}

#[tokio::test]
async fn deliveries_are_asked_for_by_domain_result_and_page() {
    let admin = admin(Ok(""));
    let id = DeliveryId::new(UnixTime(1), 1);
    for (question, status, says) in [
        (
            String::new(),
            "200",
            "domain: None, result: None, after: None, limit: 100".to_owned(),
        ),
        (
            format!("?domain=A.example&result=blocked&limit=7&after={id}"),
            "200",
            format!(
                "domain: Some(Domain(a.example)), result: Some(\\\"blocked\\\"), after: Some({id:?}), limit: 7"
            ),
        ),
        ("?domain=a..b".to_owned(), "400", "not a domain".to_owned()),
        (
            "?result=lost".to_owned(),
            "400",
            "`lost` is no result; there are: delivered, ".to_owned(),
        ),
        ("?after=1".to_owned(), "400", "`1`".to_owned()),
        ("?limit=0".to_owned(), "400", "from 1 to 1000".to_owned()),
        (
            format!("/{id}"),
            "404",
            format!("{id} is not among the last deliveries"),
        ),
        ("/1".to_owned(), "400", "`1`".to_owned()),
    ] {
        let request = format!("GET /api/v1/deliveries{question} HTTP/1.1\r\n");
        let response = ask(&admin, &request).await;
        let (found, body) = status_and_body(&response);
        assert_eq!(found, status, "{question}: {body}");
        assert!(body.contains(&says), "{question}: {body}");
    }
}

#[tokio::test]
async fn whoever_asks_hears_whether_there_is_a_token_and_whether_this_is_it() {
    let admin = admin(Ok(""));
    let set_up = Some("0123456789abcdef");
    let right = "Authorization: Bearer 0123456789abcdef\r\n";
    let wrong = "Authorization: Bearer 0123456789abcdeg\r\n";
    for (token, header, status, says) in [
        (None, "", "200", r#"{"set_up":false,"shown":false}"#),
        (None, right, "200", r#"{"set_up":false,"shown":false}"#),
        (set_up, "", "200", r#"{"set_up":true,"shown":false}"#),
        (set_up, right, "200", r#"{"set_up":true,"shown":true}"#),
        (set_up, wrong, "401", "this is not the token"),
    ] {
        let request = format!("GET /api/v1/token HTTP/1.1\r\nHost: localhost\r\n{header}");
        let response = ask_with(&admin, token, &request).await;
        let (found, body) = status_and_body(&response);
        assert_eq!((found, body.contains(says)), (status, true), "{body}");
    }
}

#[tokio::test]
async fn the_page_is_for_everybody_and_loads_nothing_but_its_own_files() {
    let admin = admin(Ok(""));
    let response = ask(&admin, "GET / HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\n").await;
    let (status, html) = status_and_body(&response);
    assert_eq!(status, "200");
    let mut texts = vec![html.to_owned()];
    let mut named: Vec<String> = Vec::new();
    while let Some(text) = texts.pop() {
        assert!(
            !text.contains("innerHTML") && !text.contains("style="),
            "{text}"
        );
        let quoted = text.split('"').skip(1).step_by(2);
        let files =
            quoted.filter_map(|word| word.strip_prefix("/page/").or(word.strip_prefix("./")));
        for file in files {
            if named.iter().all(|known| known != file) {
                named.push(file.to_owned());
                let response = ask(&admin, &format!("GET /page/{file} HTTP/1.1\r\n")).await;
                let (status, body) = status_and_body(&response);
                assert_eq!(status, "200", "{file}");
                texts.push(body.to_owned());
            }
        }
    }
    assert_eq!(named.len(), 8, "{named:?}");
    let response = ask(&admin, "GET /page/other.js HTTP/1.1\r\n").await;
    assert_eq!(status_and_body(&response).0, "404");
}

#[tokio::test]
async fn what_is_not_there_points_at_what_is() {
    let admin = admin(Ok(""));
    for (request, status) in [("GET /metrix", "404"), ("GET /reload", "405")] {
        let response = ask(&admin, &format!("{request} HTTP/1.1\r\n")).await;
        let (found, body) = status_and_body(&response);
        assert_eq!(found, status);
        assert!(
            body.contains("/api/v1/openapi.json tells what there is"),
            "{body}"
        );
    }
}

#[test]
fn all_that_the_description_names_is_described() {
    let document = serde_json::to_string(&openapi()).unwrap();
    let api: Value = serde_json::from_str(&document).unwrap();
    let operations = |path: &Value| {
        path.as_object()
            .unwrap()
            .values()
            .cloned()
            .collect::<Vec<_>>()
    };
    let paths: Vec<&Value> = api["paths"].as_object().unwrap().values().collect();
    assert!(paths.len() >= 10, "{document}");
    for operation in paths.into_iter().flat_map(operations) {
        assert!(operation["summary"].is_string(), "{operation}");
    }
    for schema in api["components"]["schemas"].as_object().unwrap().values() {
        for (name, property) in schema["properties"].as_object().unwrap() {
            assert!(
                property.to_string().contains("\"description\":"),
                "{name}: {property}"
            );
        }
    }
}

#[tokio::test]
async fn hosts_are_listed_shown_and_forgotten() {
    let admin = admin(Ok(""));
    let ask = async |line: &str| {
        let response = ask(&admin, &format!("{line} HTTP/1.1\r\n")).await;
        let (status, body) = status_and_body(&response);
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        (status.to_owned(), body)
    };
    let (_, page): (_, Value) = ask("GET /api/v1/hosts?after=b.example&limit=7").await;
    assert_eq!(page["next"], "All Some(b.example) 7");
    let (_, lost) = ask("GET /api/v1/hosts?lost=true").await;
    assert_eq!(lost["next"], "Lost None 100");
    let (_, host) = ask("GET /api/v1/hosts/MX.a.example").await;
    assert_eq!(host, page["hosts"][0]);
    assert_eq!(host["best"], "dane");
    assert_eq!(host["lost"]["kind"], "starttls");
    assert_eq!(host["lost"]["until"], "1970-01-01T00:02:00Z");
    assert_eq!(ask("DELETE /api/v1/hosts/mx.a.example").await.0, "204");
    let (status, problem) = ask("DELETE /api/v1/hosts/mx.b.example").await;
    assert_eq!(status, "404");
    let why = problem["detail"].as_str().unwrap();
    assert!(
        why.starts_with("nothing is remembered of mx.b.example"),
        "{why}"
    );
    assert_eq!(ask("GET /api/v1/hosts/a..b").await.0, "400");
}
