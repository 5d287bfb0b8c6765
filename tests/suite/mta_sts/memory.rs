//! What depends on time: a policy expires, is refreshed, and is left alone after a failure. The clock is moved by hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, ready};
use std::net::IpAddr;
use waxseal::discover::{Memory, MtaStsPolicies, NotRefreshed};
use waxseal::dns::{
    Answer, Dnssec, Family, Found, Freshness, LookupError, Mx, Resolver, Security, Tlsa,
};
use waxseal::mtasts::{FetchError, Policy};
use waxseal::name::{Domain, Host};
use waxseal::net::https::Fetch;
use waxseal::policy::facts::{MtaSts, NoMtaSts, Unknown};
use waxseal::policy::outcome::{Event, Observer};
use waxseal::store::{Place, Store, open};

use crate::support::clock::HandClock;
use crate::support::sts_host::policy;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// `max_age` of the policies here.
const WEEK: u32 = 7 * 86_400;

/// The outside world: one record and one policy, for every domain.
struct Outside {
    record: Mutex<Result<Found<Vec<u8>>, LookupError>>,
    text: Mutex<Option<String>>,
    fetches: AtomicUsize,
}

impl Outside {
    fn publish(&self, id: &str) {
        let record = format!("v=STSv1; id={id};").into_bytes();
        *self.record.lock().unwrap() = Ok(Found::Records(vec![record]));
    }

    fn withdraw(&self) {
        *self.record.lock().unwrap() = Ok(Found::NxDomain);
    }

    fn fails(&self) {
        *self.record.lock().unwrap() = Err(LookupError::ServFail);
    }

    /// The web server has this policy, or is gone.
    fn serve(&self, text: Option<String>) {
        *self.text.lock().unwrap() = text;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }
}

impl Fetch for Outside {
    fn policy<'a>(
        &'a self,
        _: &'a Domain,
    ) -> BoxFuture<'a, Result<(Policy, Arc<str>), FetchError>> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let text = self.text.lock().unwrap().clone();
        let answer = text.ok_or(FetchError::TimedOut);
        Box::pin(ready(
            answer.map(|text| (text.parse().unwrap(), text.as_str().into())),
        ))
    }
}

impl Resolver for Outside {
    fn txt<'a>(
        &'a self,
        _: &'a str,
        _: Freshness,
    ) -> BoxFuture<'a, Result<Answer<Vec<u8>>, LookupError>> {
        let found = self.record.lock().unwrap().clone();
        Box::pin(ready(found.map(|found| Answer {
            security: Security::Insecure,
            expanded: None,
            found,
        })))
    }

    fn mx<'a>(&'a self, _: &'a Domain) -> BoxFuture<'a, Result<Answer<Mx>, LookupError>> {
        Box::pin(ready(Err(LookupError::Refused)))
    }

    fn addresses<'a>(
        &'a self,
        _: &'a Host,
        _: Family,
    ) -> BoxFuture<'a, Result<Answer<IpAddr>, LookupError>> {
        Box::pin(ready(Err(LookupError::Refused)))
    }

    fn tlsa<'a>(&'a self, _: &'a Host, _: u16) -> BoxFuture<'a, Result<Answer<Tlsa>, LookupError>> {
        Box::pin(ready(Err(LookupError::Refused)))
    }

    fn alias<'a>(&'a self, _: &'a Host) -> BoxFuture<'a, Result<Answer<Host>, LookupError>> {
        Box::pin(ready(Err(LookupError::Refused)))
    }

    fn dnssec(&self) -> Dnssec {
        Dnssec::Off
    }
}

struct Nobody;

impl Observer for Nobody {
    fn record(&self, _: Event<'_>) {}
}

/// Policies, and what they depend on.
struct World {
    outside: Arc<Outside>,
    clock: Arc<HandClock>,
    store: Arc<dyn Store>,
    policies: MtaStsPolicies,
}

impl World {
    /// A record with id 1, and a policy to enforce.
    async fn new() -> Self {
        let outside = Arc::new(Outside {
            record: Mutex::new(Ok(Found::NxDomain)),
            text: Mutex::new(Some(policy("enforce", WEEK, &["mx.a.test"]))),
            fetches: AtomicUsize::new(0),
        });
        outside.publish("1");
        let clock = Arc::new(HandClock::default());
        let store = open(Place::Memory, Arc::clone(&clock) as _).await.unwrap();
        let policies = policies(&outside, &clock, &store);
        Self {
            outside,
            clock,
            store,
            policies,
        }
    }

    /// The same store, and nothing in memory.
    fn restart(&mut self) {
        self.policies = policies(&self.outside, &self.clock, &self.store);
    }

    /// The mode of the policy that counts, or why there is none.
    async fn now(&self) -> String {
        match self.policies.of(&a_test()).await {
            MtaSts::Policy(fetched) => fetched.policy.mode.word().to_owned(),
            MtaSts::Absent(NoMtaSts::NoRecord(_)) => "no record".to_owned(),
            MtaSts::Absent(NoMtaSts::FetchFailed(_)) => "no policy".to_owned(),
            MtaSts::Absent(why) => why.to_string(),
            MtaSts::Unknown(Unknown::Record(_)) => "unknown".to_owned(),
            MtaSts::Unknown(Unknown::Store(_)) => "unreadable".to_owned(),
        }
    }

    /// What the background does each minute.
    async fn round(&self) {
        self.policies.refresh_due().await;
    }
}

fn policies(
    outside: &Arc<Outside>,
    clock: &Arc<HandClock>,
    store: &Arc<dyn Store>,
) -> MtaStsPolicies {
    MtaStsPolicies {
        resolver: Arc::clone(outside) as _,
        fetch: Arc::clone(outside) as _,
        memory: Memory::new(Arc::clone(store)),
        clock: Arc::clone(clock) as _,
        observer: Arc::new(Nobody),
    }
}

fn a_test() -> Domain {
    "a.test".parse().unwrap()
}

#[tokio::test]
async fn a_policy_counts_until_max_age_is_over_and_no_longer() {
    let world = World::new().await;
    assert_eq!(world.now().await, "enforce");
    world.outside.serve(None);
    world.outside.withdraw();
    world.clock.advance(u64::from(WEEK) - 1);
    assert_eq!(world.now().await, "enforce");
    world.clock.advance(1);
    assert_eq!(world.now().await, "no record");
    world.outside.fails();
    assert_eq!(world.now().await, "unknown");
}

#[tokio::test]
async fn a_policy_that_lives_shorter_than_the_back_off_is_fetched_when_it_is_over() {
    let world = World::new().await;
    world
        .outside
        .serve(Some(policy("enforce", 60, &["mx.a.test"])));
    assert_eq!(world.now().await, "enforce");
    world.clock.advance(MINUTE);
    assert_eq!(world.now().await, "enforce");
    assert_eq!(world.outside.fetches(), 2);
}

#[tokio::test]
async fn a_policy_that_lives_for_no_time_is_fetched_once_a_minute() {
    let world = World::new().await;
    world
        .outside
        .serve(Some(policy("enforce", 0, &["mx.a.test"])));
    for minute in 1..4 {
        for _ in 0..3 {
            assert_eq!(world.now().await, "enforce");
        }
        assert_eq!(world.outside.fetches(), minute);
        world.clock.advance(MINUTE);
    }
    world.outside.withdraw();
    assert_eq!(world.now().await, "no record");
}

#[tokio::test]
async fn the_store_remembers_what_memory_forgot() {
    let mut world = World::new().await;
    assert_eq!(world.now().await, "enforce");
    world.outside.serve(None);
    world.outside.withdraw();
    world.restart();
    assert_eq!(world.now().await, "enforce");
    assert_eq!(world.outside.fetches(), 1);
}

#[tokio::test]
async fn a_new_id_brings_the_new_policy_and_an_old_one_nothing() {
    let world = World::new().await;
    assert_eq!(world.now().await, "enforce");
    world.outside.serve(Some(policy("none", WEEK, &[])));
    assert_eq!(world.now().await, "enforce", "the id is the same");
    world.outside.publish("2");
    let withdrawn = "the policy is withdrawn (mode none)";
    assert_eq!(world.now().await, withdrawn);
    world.outside.withdraw();
    assert_eq!(world.now().await, withdrawn, "remembered like any other");
    assert_eq!(world.outside.fetches(), 2);
}

#[tokio::test]
async fn a_web_server_that_failed_is_left_alone_for_five_minutes() {
    let world = World::new().await;
    world.outside.serve(None);
    for _ in 0..3 {
        assert_eq!(world.now().await, "no policy");
    }
    world.outside.publish("2");
    assert_eq!(world.now().await, "no policy", "another id is no reason");
    assert_eq!(world.outside.fetches(), 1);
    world.clock.advance(5 * MINUTE - 1);
    assert_eq!(world.now().await, "no policy");
    assert_eq!(world.outside.fetches(), 1);
    world
        .outside
        .serve(Some(policy("enforce", WEEK, &["mx.a.test"])));
    world.clock.advance(1);
    assert_eq!(world.now().await, "enforce");
    assert_eq!(world.outside.fetches(), 2);
}

#[tokio::test]
async fn a_failure_leaves_the_remembered_policy_and_is_tried_again_after_five_minutes() {
    let world = World::new().await;
    assert_eq!(world.now().await, "enforce");
    world.outside.serve(None);
    world.outside.publish("2");
    assert_eq!(world.now().await, "enforce");
    assert_eq!(world.now().await, "enforce");
    assert_eq!(world.outside.fetches(), 2);
    world
        .outside
        .serve(Some(policy("testing", WEEK, &["mx.a.test"])));
    world.clock.advance(5 * MINUTE);
    assert_eq!(world.now().await, "testing");
}

#[tokio::test]
async fn policies_are_refreshed_daily_whether_or_not_the_id_changed() {
    let world = World::new().await;
    assert_eq!(world.now().await, "enforce");
    world.round().await;
    assert_eq!(world.outside.fetches(), 1, "its turn has not come");
    world
        .outside
        .serve(Some(policy("testing", WEEK, &["mx.a.test"])));
    world.clock.advance(DAY);
    world.round().await;
    assert_eq!(world.outside.fetches(), 2);
    assert_eq!(world.now().await, "testing");
    // Six rounds later the first week is over, and the policy is still there.
    for _ in 0..6 {
        world.clock.advance(DAY);
        world.round().await;
    }
    world.outside.withdraw();
    assert_eq!(world.now().await, "testing");
    assert_eq!(world.outside.fetches(), 8);
}

#[tokio::test]
async fn refreshes_spread_over_the_last_quarter_of_their_turn() {
    let world = World::new().await;
    let mut turns: Vec<u64> = Vec::new();
    for at in 0..200 {
        let domain: Domain = format!("d{at}.test").parse().unwrap();
        world.policies.of(&domain).await;
        let kept = world.policies.kept(&domain).await.unwrap().unwrap();
        turns.push(kept.refresh.0 - HandClock::START);
    }
    turns.sort_unstable();
    assert!(turns[0] >= DAY * 3 / 4 && turns[199] <= DAY, "{turns:?}");
    assert!(turns[199] - turns[0] > DAY / 8, "{turns:?}");
}

#[tokio::test]
async fn a_refresh_works_without_a_record() {
    let world = World::new().await;
    assert_eq!(world.now().await, "enforce");
    world.outside.withdraw();
    world.clock.advance(6 * DAY);
    world.round().await;
    world.clock.advance(6 * DAY);
    assert_eq!(world.now().await, "enforce");
}

#[tokio::test]
async fn a_refresh_that_keeps_failing_is_seen_until_one_works() {
    let world = World::new().await;
    assert_eq!(world.now().await, "enforce");
    world.outside.serve(None);
    world.clock.advance(DAY);
    let since = HandClock::START + DAY;
    for hours in 0..5 {
        world.round().await;
        let stats = world.policies.stats().await.unwrap();
        assert_eq!(stats.oldest_failure.map(|at| at.0), Some(since));
        assert_eq!(world.outside.fetches(), 2 + hours);
        world.round().await;
        assert_eq!(world.outside.fetches(), 2 + hours, "once an hour");
        world.clock.advance(HOUR);
    }
    let kept = world.policies.kept(&a_test()).await.unwrap().unwrap();
    assert_eq!(kept.failing.as_ref().unwrap().why, "no answer in time");
    assert_eq!(world.now().await, "enforce", "it counts until it expires");
    world
        .outside
        .serve(Some(policy("enforce", WEEK, &["mx.a.test"])));
    world.round().await;
    assert_eq!(world.policies.stats().await.unwrap().oldest_failure, None);
    let kept = world.policies.kept(&a_test()).await.unwrap().unwrap();
    assert_eq!(kept.failing, None);
}

#[tokio::test]
async fn a_policy_that_no_mail_needs_for_90_days_is_forgotten() {
    let world = World::new().await;
    let busy: Domain = "busy.test".parse().unwrap();
    assert_eq!(world.now().await, "enforce");
    world.policies.of(&busy).await;
    for _ in 0..91 {
        world.clock.advance(DAY);
        world.policies.of(&busy).await;
        world.round().await;
    }
    let page = world.policies.page(None, 10).await.unwrap();
    let domains: Vec<String> = page.iter().map(|(domain, _)| domain.to_string()).collect();
    assert_eq!(domains, ["busy.test"]);
}

#[tokio::test]
async fn what_is_forgotten_is_asked_for_anew() {
    let world = World::new().await;
    assert_eq!(world.now().await, "enforce");
    assert!(world.policies.forget(&a_test()).await);
    assert!(!world.policies.forget(&a_test()).await);
    assert_eq!(world.now().await, "enforce");
    assert_eq!(world.outside.fetches(), 2);
}

#[tokio::test]
async fn a_refresh_by_hand_tells_why_it_failed() {
    let world = World::new().await;
    world.outside.withdraw();
    let refreshed = world.policies.refresh(&a_test()).await;
    assert!(
        matches!(refreshed, Err(NotRefreshed::NoRecord(_))),
        "{refreshed:?}"
    );
    world.outside.fails();
    let refreshed = world.policies.refresh(&a_test()).await;
    assert!(
        matches!(refreshed, Err(NotRefreshed::Dns(_))),
        "{refreshed:?}"
    );
    world.outside.publish("1");
    world.outside.serve(None);
    let refreshed = world.policies.refresh(&a_test()).await;
    assert!(
        matches!(refreshed, Err(NotRefreshed::Fetch(_))),
        "{refreshed:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_from_the_store_is_no_absence() {
    let mut world = World::new().await;
    assert_eq!(world.now().await, "enforce");
    world.store.close().await;
    assert_eq!(world.now().await, "enforce", "memory goes on alone");
    world.restart();
    world.outside.withdraw();
    assert_eq!(world.now().await, "unreadable");
    world.outside.publish("1");
    assert_eq!(world.now().await, "enforce", "its owner says so");
    world.outside.withdraw();
    assert_eq!(world.now().await, "enforce", "and is remembered");
}

#[tokio::test]
async fn a_crowd_makes_one_fetch() {
    let world = World::new().await;
    let asked = (0..1000).map(|_| async { world.now().await });
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer == "enforce"));
    assert_eq!(world.outside.fetches(), 1);
}
