//! One file, several stores: in one process, where they share nothing but the file, and in two.

use std::process::{Child, Command, Output, Stdio};

use futures_util::future::join_all;

use super::*;

const FILE: &str = "WAXSEAL_TEST_STORE";
const EACH: usize = 50;

#[tokio::test]
async fn two_stores_on_one_file_see_each_other() {
    let lab = Lab::new();
    let (one, two) = (lab.file().await, lab.file().await);
    works(&one).await;
    assert_eq!(names(&two).await, ["works.example"]);
    two.forget(&domain("works.example")).await.unwrap();
    assert_eq!(names(&one).await, [""; 0]);
    one.close().await;
    works(&two).await;
}

#[tokio::test]
async fn many_that_make_the_file_at_once_agree() {
    let lab = Lab::new();
    let stores = join_all((0..8).map(|_| lab.file())).await;
    for (n, store) in stores.iter().enumerate() {
        let own = domain(&format!("d{n}.example"));
        store.keep(&own, &kept()).await.unwrap();
    }
    for store in &stores {
        assert_eq!(names(store).await.len(), 8);
    }
}

#[tokio::test]
async fn many_that_find_it_damaged_at_once_set_it_aside_once() {
    let lab = Lab::with(10).await;
    fs::write(&lab.path, "rubbish ".repeat(4000)).unwrap();
    let stores = join_all((0..8).map(|_| lab.file())).await;
    assert_eq!(lab.aside().len(), 1);
    works(&stores[0]).await;
    for store in &stores {
        assert_eq!(names(store).await, ["works.example"]);
    }
}

/// Starts this program again, to do what [`as_a_second_process`] does.
fn second_process(lab: &Lab) -> Child {
    let test = concat!(module_path!(), "::as_a_second_process");
    let test = test.split_once("::").unwrap().1;
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(FILE, &lab.path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

async fn keep_each(store: &SqliteStore, who: &str) {
    for n in 0..EACH {
        let own = domain(&format!("{who}{n}.example"));
        store.keep(&own, &kept()).await.unwrap();
        store.keep(&domain("both.example"), &kept()).await.unwrap();
        assert_eq!(store.policy(&own).await.unwrap(), Some(kept()));
    }
}

#[tokio::test]
#[ignore = "the second process of other tests"]
async fn as_a_second_process() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .init();
    let path = PathBuf::from(path);
    let place = Place::File(path.clone());
    let store = SqliteStore::open(place, TestClock::at(NOW)).await.unwrap();
    keep_each(&store, "second").await;
    assert_eq!(store.health().degraded, None);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_write_to_one_file() {
    let lab = Lab::new();
    let second = second_process(&lab);
    let store = lab.file().await;
    keep_each(&store, "first").await;
    let output = second.wait_with_output().unwrap();
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(names(&store).await.len(), 2 * EACH + 1);
    // At the most talkative level, and with statements by the hundred.
    for word in ["second1", "sts_policies", "SELECT"] {
        assert!(!said.contains(word), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_set_a_damaged_file_aside_once() {
    let lab = Lab::with(10).await;
    fs::write(&lab.path, "rubbish ".repeat(4000)).unwrap();
    let second = second_process(&lab);
    let store = lab.file().await;
    keep_each(&store, "first").await;
    let output = second.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(lab.aside().len(), 1);
    assert_eq!(names(&store).await.len(), 2 * EACH + 1);
}
