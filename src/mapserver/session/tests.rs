use std::sync::Mutex;

use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::mapserver::{Listener, Table, Waits};
use crate::policy::outcome::{Event, Observer};
use crate::policy::postfix::Attributes;

const IDLE: Duration = Duration::from_mins(5);

/// Knows `a.test`, finds out `b.test` at once, every other name after its number of seconds, and `never.test` never.
struct Slow;

impl Table for Slow {
    fn answer<'a>(&'a self, key: &'a str, _: Attributes) -> Asked<'a> {
        let answer = Arc::new(Answer::Policy("encrypt".to_owned()));
        let wait = match key.trim_end_matches(".test") {
            "a" => return Asked::Known(answer),
            "b" => Duration::ZERO,
            "never" => Duration::MAX,
            seconds => Duration::from_secs(seconds.parse().unwrap()),
        };
        Asked::LookUp(Box::pin(async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            answer
        }))
    }
}

/// How each request was answered.
#[derive(Default)]
struct Tally(Mutex<Vec<MapResult>>);

impl Observer for Tally {
    fn record(&self, event: Event<'_>) {
        if let Event::Map(MapEvent::Answered(result)) = event {
            self.0.lock().unwrap().push(result);
        }
    }
}

/// Serves a client whose connection holds so many octets on their way. Time passes when everybody waits.
async fn with_client<T>(
    room: usize,
    script: impl AsyncFnOnce(Client, watch::Sender<bool>) -> T,
) -> (T, Vec<MapResult>) {
    let tally = Arc::new(Tally::default());
    let server = MapServer {
        listener: Listener {
            listen: ([127, 0, 0, 1], 0).into(),
            allow: Vec::new(),
            max_sessions: 1,
            attributes: Attributes::Withheld,
        },
        waits: Waits {
            idle: IDLE,
            drain: Duration::ZERO,
        },
        table: Arc::new(Slow),
        observer: Arc::clone(&tally) as Arc<dyn Observer>,
    };
    let (client, stream) = duplex(room);
    let (stop, draining) = watch::channel(false);
    let session = Session::new(&server, stream, draining).run();
    let (result, ()) = tokio::join!(script(Client(client), stop), session);
    let answered = std::mem::take(&mut *tally.0.lock().unwrap());
    (result, answered)
}

struct Client(DuplexStream);

impl Client {
    async fn ask(&mut self, key: &str) {
        let content = format!("waxseal {key}");
        let request = format!("{}:{content},", content.len());
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    async fn hears(&mut self, reply: &str) {
        let mut octets = vec![0; reply.len()];
        self.0.read_exact(&mut octets).await.unwrap();
        assert_eq!(String::from_utf8(octets).unwrap(), reply);
    }

    async fn hears_nothing_more(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "{rest:?}");
    }
}

const ENCRYPT: &str = "10:OK encrypt,";
const TOO_LONG: &str = "34:TIMEOUT the look-ups take too long,";

#[tokio::test(start_paused = true)]
async fn a_look_up_that_takes_too_long_is_told_before_postfix_gives_up() {
    let ((), answered) = with_client(1000, async |mut client, _stop| {
        let start = Instant::now();
        client.ask("never.test").await;
        client.hears(TOO_LONG).await;
        assert_eq!(start.elapsed(), PATIENCE);
        // The connection is as good as before.
        client.ask("a.test").await;
        client.hears(ENCRYPT).await;
        assert_eq!(start.elapsed(), PATIENCE);
    })
    .await;
    assert_eq!(answered, [MapResult::Temp, MapResult::Ok]);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_takes_long_is_waited_for() {
    let ((), answered) = with_client(1000, async |mut client, _stop| {
        client.ask("89.test").await;
        client.hears(ENCRYPT).await;
    })
    .await;
    assert_eq!(answered, [MapResult::Ok]);
}

#[tokio::test(start_paused = true)]
async fn each_of_several_requests_has_its_own_patience() {
    let ((), answered) = with_client(1000, async |mut client, _stop| {
        for key in ["80.test", "91.test", "80.test"] {
            client.ask(key).await;
        }
        for reply in [ENCRYPT, TOO_LONG, ENCRYPT] {
            client.hears(reply).await;
        }
    })
    .await;
    assert_eq!(answered, [MapResult::Ok, MapResult::Temp, MapResult::Ok]);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_does_not_wait_for_what_is_looked_up() {
    with_client(1000, async |mut client, _stop| {
        let start = Instant::now();
        for key in ["a.test", "b.test", "80.test", "a.test"] {
            client.ask(key).await;
        }
        for seconds in [0, 0, 80, 80] {
            client.hears(ENCRYPT).await;
            assert_eq!(start.elapsed(), Duration::from_secs(seconds));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_nothing_for_long_is_left() {
    with_client(1000, async |mut client, _stop| {
        let start = Instant::now();
        sleep(IDLE / 2).await;
        client.ask("a.test").await;
        client.hears(ENCRYPT).await;
        client.hears_nothing_more().await;
        assert_eq!(start.elapsed(), IDLE / 2 + IDLE);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_no_reply_is_left() {
    let ((), answered) = with_client(5, async |mut client, _stop| {
        let start = Instant::now();
        client.ask("a.test").await;
        sleep(IDLE + Duration::from_secs(1)).await;
        // What was on its way is all that comes.
        client.hears(&ENCRYPT[..5]).await;
        client.hears_nothing_more().await;
        assert_eq!(start.elapsed(), IDLE + Duration::from_secs(1));
    })
    .await;
    assert_eq!(answered, [MapResult::Ok]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_answer_that_is_looked_up_and_for_no_further_question() {
    let ((), answered) = with_client(1000, async |mut client, stop| {
        client.ask("60.test").await;
        sleep(Duration::from_secs(1)).await;
        stop.send(true).unwrap();
        client.hears(ENCRYPT).await;
        client.hears_nothing_more().await;
    })
    .await;
    assert_eq!(answered, [MapResult::Ok]);
}
