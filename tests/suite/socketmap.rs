//! The policy table for Postfix: what is answered (`tests/data/socketmap.table`), and over TCP how it is asked.

mod client;
mod crowd;
mod recent;
mod reports;
mod wire;

use std::fmt::Write as _;

use waxseal::app::{Told, told};
use waxseal::policy::postfix::{Answer, Attributes};

use super::decide::{Row, is_verdict};
use crate::support::golden;

const TABLE: &str = "socketmap.table";

#[tokio::test]
async fn every_row_of_the_table_of_answers_holds() {
    let mut actual = String::new();
    let table = golden::read(TABLE);
    for block in table.split("\n\n") {
        let questions: Vec<&str> = block.lines().filter(|line| !is_verdict(line)).collect();
        if !actual.is_empty() {
            actual.push('\n');
        }
        for line in &questions {
            writeln!(actual, "{line}").unwrap();
        }
        actual += &row(&questions).await;
    }
    golden::compare(TABLE, &actual);
}

async fn row(questions: &[&str]) -> String {
    let (options, lines): (Vec<&str>, Vec<&str>) =
        questions.iter().partition(|line| **line == "tlsrpt");
    let row = Row::parse(&lines);
    let Some(key) = row.to else {
        return String::new();
    };
    let attributes = if options.is_empty() {
        Attributes::Withheld
    } else {
        Attributes::Told
    };
    match row.gate().await {
        Ok(gate) => render(&told(&gate, key, attributes).await),
        Err(error) => format!("=> not loaded: {error}\n"),
    }
}

fn render(told: &Told) -> String {
    match &*told.answer {
        Answer::Policy(policy) => format!("=> OK {}\n", without_folder(policy)),
        Answer::Nothing(why) => format!("=> NOTFOUND ({why})\n"),
        Answer::Later(why) => format!("=> TEMP {why}\n"),
        Answer::Never(why) => format!("=> PERM {why}\n"),
    }
}

/// The rule files of a row are in a folder of their own.
fn without_folder(policy: &str) -> String {
    let words = policy
        .split(' ')
        .map(|word| match word.split_once("tafile=/") {
            Some((_, path)) => format!("tafile=/.../{}", path.rsplit('/').next().unwrap()),
            None => word.to_owned(),
        });
    words.collect::<Vec<_>>().join(" ")
}
