//! The table of policies: each statement, and how a policy becomes a row and is read from one.
//!
//! The statements are those that other databases know as well. What is in a row is not believed: the
//! policy is parsed from its text again, and a row of which anything cannot be read is
//! [`Found::Unreadable`].

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, FromRow, Row as _};

use crate::mtasts::{Fetched, Mode, policy};
use crate::name::Domain;
use crate::store::{Failing, Kept, Stats};
use crate::time::UnixTime;

/// A policy that mail asks for daily is written to once a day.
const DAY: i64 = 86_400;
/// The longest reason of a failure that is kept; it may quote what a stranger sent.
const LONGEST_REASON: usize = 500;
/// How many rows are carried over at once.
pub(super) const BATCH: i64 = 500;

macro_rules! columns {
    () => {
        "domain, id, policy, mode, fetched, expires, used, refresh, failing_since, failing_last, failing_why"
    };
}

macro_rules! upsert {
    ($condition:literal) => {
        concat!(
            "INSERT INTO sts_policies (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (domain) DO UPDATE SET id = excluded.id, policy = excluded.policy,
             mode = excluded.mode, fetched = excluded.fetched, expires = excluded.expires,
             used = excluded.used, refresh = excluded.refresh, failing_since = excluded.failing_since,
             failing_last = excluded.failing_last, failing_why = excluded.failing_why ",
            $condition
        )
    };
}

const KEEP: &str = upsert!("");
const KEEP_NEWER: &str = upsert!("WHERE excluded.fetched > sts_policies.fetched");

/// A row as it stands in the table.
#[derive(Debug, sqlx::FromRow)]
struct Row {
    domain: String,
    id: String,
    policy: String,
    mode: String,
    fetched: i64,
    expires: i64,
    used: i64,
    refresh: i64,
    failing_since: Option<i64>,
    failing_last: Option<i64>,
    failing_why: Option<String>,
}

/// What a row holds.
#[derive(Debug)]
pub(super) enum Found {
    /// A policy.
    Policy(Domain, Kept),
    /// Nothing that this waxseal can read: the text in place of the domain, if there is any, and why.
    Unreadable(Option<String>, String),
}

impl Row {
    fn of(domain: &Domain, kept: &Kept) -> Self {
        let fetched = &kept.fetched;
        let failing = kept.failing.as_ref();
        Self {
            domain: domain.to_string(),
            id: fetched.id.to_string(),
            policy: fetched.text.to_string(),
            mode: fetched.policy.mode.word().to_owned(),
            fetched: seconds(fetched.at),
            expires: seconds(fetched.expires()),
            used: seconds(kept.used),
            refresh: seconds(kept.refresh),
            failing_since: failing.map(|failing| seconds(failing.since)),
            failing_last: failing.map(|failing| seconds(failing.last)),
            failing_why: failing.map(|failing| shortened(&failing.why).to_owned()),
        }
    }

    async fn write(
        self,
        connection: &mut SqliteConnection,
        sql: &'static str,
    ) -> sqlx::Result<u64> {
        let done = sqlx::query(sql)
            .bind(self.domain)
            .bind(self.id)
            .bind(self.policy)
            .bind(self.mode)
            .bind(self.fetched)
            .bind(self.expires)
            .bind(self.used)
            .bind(self.refresh)
            .bind(self.failing_since)
            .bind(self.failing_last)
            .bind(self.failing_why)
            .execute(connection);
        Ok(done.await?.rows_affected())
    }

    fn read(self) -> Result<(Domain, Kept), String> {
        let domain: Domain = self.domain.parse().map_err(|error| format!("{error}"))?;
        let policy = policy::parse(self.policy.as_bytes()).map_err(|error| error.to_string())?;
        let failing = match (self.failing_since, self.failing_last) {
            (Some(since), Some(last)) => Some(Failing {
                since: time(since),
                last: time(last),
                why: self.failing_why.unwrap_or_default(),
            }),
            _ => None,
        };
        let fetched = Fetched {
            id: self.id.parse().map_err(|_| "its id is not valid")?,
            policy,
            text: Arc::from(self.policy),
            at: time(self.fetched),
        };
        let kept = Kept {
            fetched: Arc::new(fetched),
            used: time(self.used),
            refresh: time(self.refresh),
            failing,
        };
        Ok((domain, kept))
    }
}

impl Found {
    fn in_row(row: &SqliteRow) -> Self {
        let read = Row::from_row(row)
            .map_err(|error| error.to_string())
            .and_then(Row::read);
        match read {
            Ok((domain, kept)) => Self::Policy(domain, kept),
            Err(why) => Self::Unreadable(row.try_get("domain").ok(), why),
        }
    }
}

/// Remembers a policy in place of an older one.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    domain: &Domain,
    kept: &Kept,
) -> sqlx::Result<u64> {
    Row::of(domain, kept).write(connection, KEEP).await
}

/// What is remembered of a domain and has not expired.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    domain: &str,
    now: UnixTime,
) -> sqlx::Result<Option<Found>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM sts_policies WHERE domain = $1 AND expires > $2"
    );
    let found = sqlx::query(sql)
        .bind(domain)
        .bind(seconds(now))
        .fetch_optional(connection)
        .await?;
    Ok(found.as_ref().map(Found::in_row))
}

/// Takes note of use, where what is known is more than a day older.
pub(super) async fn used(
    connection: &mut SqliteConnection,
    domain: &Domain,
    at: UnixTime,
) -> sqlx::Result<u64> {
    let done = sqlx::query("UPDATE sts_policies SET used = $2 WHERE domain = $1 AND used < $3")
        .bind(domain.as_str())
        .bind(seconds(at))
        .bind(seconds(at).saturating_sub(DAY))
        .execute(connection);
    Ok(done.await?.rows_affected())
}

/// Takes note of a failure, which began earlier where one is known.
pub(super) async fn refresh_failed(
    connection: &mut SqliteConnection,
    domain: &Domain,
    (at, again): (UnixTime, UnixTime),
    why: &str,
) -> sqlx::Result<u64> {
    let sql = "UPDATE sts_policies SET refresh = $3, failing_since = COALESCE(failing_since, $2),
               failing_last = $2, failing_why = $4 WHERE domain = $1";
    let done = sqlx::query(sql)
        .bind(domain.as_str())
        .bind(seconds(at))
        .bind(seconds(again))
        .bind(shortened(why))
        .execute(connection);
    Ok(done.await?.rows_affected())
}

/// Forgets a domain; tells how many rows that were.
pub(super) async fn forget(connection: &mut SqliteConnection, domain: &str) -> sqlx::Result<u64> {
    let done = sqlx::query("DELETE FROM sts_policies WHERE domain = $1")
        .bind(domain)
        .execute(connection);
    Ok(done.await?.rows_affected())
}

/// Forgets a domain whose row still cannot be read: another process may have mended it meanwhile.
pub(super) async fn discard(connection: &mut SqliteConnection, domain: &str) -> sqlx::Result<u64> {
    let mut change = connection.begin_with("BEGIN IMMEDIATE").await?;
    let gone = match find(&mut change, domain, UnixTime(0)).await? {
        Some(Found::Unreadable(..)) => forget(&mut change, domain).await?,
        _ => 0,
    };
    change.commit().await?;
    Ok(gone)
}

/// Domains whose time to be refreshed has come.
pub(super) async fn due(
    connection: &mut SqliteConnection,
    now: UnixTime,
    limit: usize,
) -> sqlx::Result<Vec<Domain>> {
    let sql = "SELECT domain FROM sts_policies WHERE refresh <= $1 AND expires > $1
               ORDER BY refresh, domain LIMIT $2";
    let rows = sqlx::query(sql)
        .bind(seconds(now))
        .bind(number(limit))
        .fetch_all(connection)
        .await?;
    let names = rows.iter().filter_map(|row| row.try_get::<&str, _>(0).ok());
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

/// Drops what has expired, and what mail has not asked for since `unused_since`.
pub(super) async fn tidy(
    connection: &mut SqliteConnection,
    now: UnixTime,
    unused_since: UnixTime,
) -> sqlx::Result<u64> {
    let done = sqlx::query("DELETE FROM sts_policies WHERE expires <= $1 OR used < $2")
        .bind(seconds(now))
        .bind(seconds(unused_since))
        .execute(connection);
    Ok(done.await?.rows_affected())
}

/// Rows behind the name `after` in the order of names.
pub(super) async fn page(
    connection: &mut SqliteConnection,
    after: &str,
    limit: usize,
    now: UnixTime,
) -> sqlx::Result<Vec<Found>> {
    let rows = rows_behind(connection, after, number(limit), now).await?;
    Ok(rows.iter().map(Found::in_row).collect())
}

async fn rows_behind(
    connection: &mut SqliteConnection,
    after: &str,
    limit: i64,
    now: UnixTime,
) -> sqlx::Result<Vec<SqliteRow>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM sts_policies WHERE domain > $1 AND expires > $2 ORDER BY domain LIMIT $3"
    );
    sqlx::query(sql)
        .bind(after)
        .bind(seconds(now))
        .bind(limit)
        .fetch_all(connection)
        .await
}

/// Counts policies by mode.
pub(super) async fn stats(connection: &mut SqliteConnection, now: UnixTime) -> sqlx::Result<Stats> {
    let sql = "SELECT mode, COUNT(*), MIN(failing_since) FROM sts_policies WHERE expires > $1 GROUP BY mode";
    let rows: Vec<(String, i64, Option<i64>)> = sqlx::query_as(sql)
        .bind(seconds(now))
        .fetch_all(connection)
        .await?;
    let count = |mode: Mode| {
        let row = rows.iter().find(|(word, ..)| word == mode.word());
        (mode, row.map_or(0, |(_, count, _)| time(*count).0))
    };
    Ok(Stats {
        by_mode: Mode::ALL.map(count),
        oldest_failure: rows.iter().filter_map(|row| row.2).min().map(time),
    })
}

/// Carries over what `to` does not know, or knows from an earlier day; tells how many rows.
pub(super) async fn carry(
    from: &mut SqliteConnection,
    to: &mut SqliteConnection,
) -> sqlx::Result<u64> {
    let mut change = to.begin().await?;
    let mut after = String::new();
    let mut carried = 0;
    loop {
        let rows = rows_behind(from, &after, BATCH, UnixTime(0)).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get("domain")?;
        for row in rows.iter().filter_map(|row| Row::from_row(row).ok()) {
            carried += row.write(&mut change, KEEP_NEWER).await?;
        }
    }
    change.commit().await?;
    Ok(carried)
}

fn shortened(why: &str) -> &str {
    let end = why.floor_char_boundary(LONGEST_REASON);
    &why[..end]
}

pub(super) fn number(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

pub(super) fn time(seconds: i64) -> UnixTime {
    UnixTime(u64::try_from(seconds).unwrap_or_default())
}
