use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::name::Domain;
use crate::policy::delivery_id::DeliveryId;
use crate::policy::outcome::Event;
use crate::record::Record;
use crate::time::UnixTime;

struct Answer(Result<String, String>);

impl Reload for Answer {
    fn reload(&self, _: Actor) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async { self.0.clone() })
    }
}

fn admin(reload: Result<&str, &str>) -> Admin {
    Admin {
        render: Arc::new(|| "waxseal_rules 7\n".to_owned()),
        readiness: Arc::new(Readiness::default()),
        reload: Arc::new(Answer(reload.map(str::to_owned).map_err(str::to_owned))),
        policies: Arc::new(OnePolicy),
        deliveries: Arc::new(Nobody),
        observer: Arc::new(Nobody),
    }
}

/// A desk that remembers no delivery, and an observer that looks away: `suite::audit` has real ones.
struct Nobody;

impl DeliveryDesk for Nobody {
    fn list(&self, _: &Wanted) -> DeliveryPage {
        DeliveryPage {
            deliveries: Vec::new(),
            next: None,
        }
    }

    fn show(&self, _: DeliveryId) -> Option<Record> {
        None
    }
}

impl Observer for Nobody {
    fn record(&self, _: Event<'_>) {}
}

/// A desk that knows the policy of a.example, and of nobody else.
struct OnePolicy;

fn view(domain: &Domain) -> Result<PolicyView, PolicyError> {
    if domain.as_str() != "a.example" {
        return Err(PolicyError::Unknown(domain.clone()));
    }
    Ok(PolicyView {
        domain: domain.to_string(),
        mode: "enforce".to_owned(),
        mx: vec!["*.a.example".to_owned()],
        max_age: 86400,
        id: "1".to_owned(),
        fetched: UnixTime(0).to_string(),
        expires: UnixTime(86400).to_string(),
        used: UnixTime(0).to_string(),
        next_refresh: UnixTime(43200).to_string(),
        failing: None,
        text: String::new(),
    })
}

impl PolicyDesk for OnePolicy {
    fn list(
        &self,
        after: Option<Domain>,
        limit: u32,
    ) -> BoxFuture<'_, Result<PolicyPage, PolicyError>> {
        Box::pin(async move {
            let policies = view(&"a.example".parse().unwrap());
            Ok(PolicyPage {
                policies: policies.into_iter().collect(),
                next: Some(format!("{after:?} {limit}")),
            })
        })
    }

    fn show<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>> {
        Box::pin(async { view(domain) })
    }

    fn refresh<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>> {
        Box::pin(async {
            Err(PolicyError::NotRefreshed {
                domain: domain.clone(),
                why: "no answer in time".to_owned(),
            })
        })
    }

    fn forget<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<(), PolicyError>> {
        Box::pin(async { view(domain).map(|_| ()) })
    }
}

/// Serves one request on a fresh endpoint and returns the response as it came.
async fn ask(admin: &Admin, request: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(serve(listener, admin.clone(), async {
        stopped.await.ok();
    }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request}Host: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
    response
}

fn status_and_body(response: &str) -> (&str, &str) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (&head["HTTP/1.1 ".len()..][..3], body)
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
        let body = format!(
            "{{\"dnssec\":null,\"last_reload\":null,\"state\":\"{word}\",\"store\":null}}\n"
        );
        assert_eq!(status_and_body(&response), (status, body.as_str()));
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
            "not reloaded, the configuration before stays in force: x.toml:1:1: wrong\n"
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
        body.contains("\"at\":\"1970-01-01T00:00:00Z\",\"detail\":\"x.toml:1:1: wrong\""),
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
    let from = |peer: &str, method| refusal(peer.parse().unwrap(), &method, &HeaderMap::new());
    for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(from(here, Method::POST), None, "{here}");
    }
    assert!(from("192.0.2.1", Method::POST).is_some());
    assert!(from("192.0.2.1", Method::DELETE).is_some());
    assert_eq!(from("192.0.2.1", Method::GET), None);
}

#[tokio::test]
async fn policies_are_shown_refreshed_and_forgotten() {
    let admin = admin(Ok(""));
    for (request, status, says) in [
        ("GET /api/v1/policies", "200", "\"next\":\"None 100\""),
        (
            "GET /api/v1/policies?after=b.example&limit=9999",
            "200",
            "Some(b.example) 1000",
        ),
        ("GET /api/v1/policies?after=a..b", "400", "is not a domain"),
        ("GET /api/v1/policies?limit=x", "400", "limit"),
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
        ("DELETE /api/v1/policies/a.example", "200", "null"),
        ("DELETE /api/v1/policies/b.example", "404", "error"),
        ("PUT /api/v1/policies/a.example", "405", "DELETE"),
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
async fn what_is_not_there_tells_what_is() {
    let admin = admin(Ok(""));
    let response = ask(&admin, "GET /metrix HTTP/1.1\r\n").await;
    let (status, body) = status_and_body(&response);
    assert_eq!(status, "404");
    assert!(body.contains("GET /metrics\n"), "{body}");
    let response = ask(&admin, "GET /reload HTTP/1.1\r\n").await;
    let (status, body) = status_and_body(&response);
    assert_eq!(status, "405");
    assert!(body.contains("POST /reload\n"), "{body}");
}
