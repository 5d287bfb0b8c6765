//! Hosts: what is kept, dropped, and found page by page.

use super::*;
use crate::name::Host;
use crate::policy::downgrade::{Kind, Known, Lost, Shown};

fn host(name: &str) -> Host {
    name.parse().unwrap()
}

fn seen_at(seen: UnixTime) -> KeptHost {
    KeptHost {
        known: Known {
            best: Shown::Dane,
            lost: None,
        },
        first: NOW,
        seen,
    }
}

fn lost() -> KeptHost {
    let lost = Lost {
        kind: Kind::Authentication,
        since: later(7),
    };
    KeptHost {
        known: Known {
            best: Shown::Pkix,
            lost: Some(lost),
        },
        first: NOW,
        seen: later(9),
    }
}

async fn names(store: &dyn Store) -> Vec<String> {
    let page = store.hosts(Which::All, None, 1000).await.unwrap();
    page.iter().map(|(host, _)| host.to_string()).collect()
}

#[tokio::test]
async fn a_host_is_found_as_it_was_kept_last() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        let a = host("mx.a.example");
        assert_eq!(store.host(&a).await.unwrap(), None);
        store.keep_host(&a, seen_at(NOW)).await.unwrap();
        assert_eq!(store.host(&a).await.unwrap(), Some(seen_at(NOW)));
        store.keep_host(&a, lost()).await.unwrap();
        assert_eq!(store.host(&a).await.unwrap(), Some(lost()));
        assert!(store.forget_host(&a).await.unwrap());
        assert!(!store.forget_host(&a).await.unwrap());
        assert_eq!(store.host(&a).await.unwrap(), None);
    }
}

#[tokio::test]
async fn hosts_that_were_not_seen_for_long_are_dropped_and_so_are_those_beyond_the_most() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        for (name, at) in [("old", 0), ("d", 4), ("b", 3), ("a", 3), ("c", 2), ("e", 1)] {
            let host = host(&format!("{name}.example"));
            store.keep_host(&host, seen_at(later(at))).await.unwrap();
        }
        assert_eq!(
            store.tidy_hosts(later(1), 9).await.unwrap(),
            1,
            "the old one"
        );
        assert_eq!(store.tidy_hosts(later(1), 3).await.unwrap(), 2);
        assert_eq!(
            names(&*store).await,
            ["a.example", "b.example", "d.example"]
        );
        assert_eq!(store.tidy_hosts(later(1), 3).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn pages_of_hosts_follow_the_order_of_names() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        for name in ["b", "a", "a-b", "a_b", "z", "0"] {
            let host = host(&format!("{name}.example"));
            store.keep_host(&host, lost()).await.unwrap();
        }
        let all = store.hosts(Which::All, None, 1000).await.unwrap();
        assert_eq!(all.len(), 6);
        assert!(all.is_sorted_by_key(|(host, _)| host.clone()));
        let first = store.hosts(Which::All, None, 4).await.unwrap();
        let after = first.last().map(|(host, _)| host);
        let second = store.hosts(Which::All, after, 4).await.unwrap();
        assert_eq!([first, second].concat(), all);
        assert_eq!(store.hosts(Which::All, None, 0).await.unwrap(), []);
    }
}

#[tokio::test]
async fn hosts_are_remembered_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_file(folder.path()).await;
    store
        .keep_host(&host("mx.a.example"), lost())
        .await
        .unwrap();
    store.close().await;
    let a = host("mx.a.example");
    assert_eq!(store.host(&a).await, Err(StoreError::Closed));
    let store = open_file(folder.path()).await;
    assert_eq!(store.host(&a).await.unwrap(), Some(lost()));
}

#[tokio::test]
async fn hosts_that_show_less_than_before_can_be_listed_alone() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        for (name, kept) in [("a", lost()), ("b", seen_at(NOW)), ("c", lost())] {
            let host = host(&format!("{name}.example"));
            store.keep_host(&host, kept).await.unwrap();
        }
        let (a, c) = (host("a.example"), host("c.example"));
        let first = store.hosts(Which::Lost, None, 1).await.unwrap();
        assert_eq!(first, [(a.clone(), lost())]);
        let rest = store.hosts(Which::Lost, Some(&a), 9).await.unwrap();
        assert_eq!(rest, [(c, lost())]);
    }
}
