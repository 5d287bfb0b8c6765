//! The table of hosts: each statement, how a host becomes a row and is read from one, and [`HostStore`].
//!
//! A row that cannot be read counts as absent, and the next connection to the host writes it anew.

use futures_util::future::BoxFuture;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, FromRow};

use super::SqliteStore;
use super::rows::{BATCH, number, seconds, time};
use crate::name::Host;
use crate::policy::downgrade::{Kind, Known, Lost, Shown};
use crate::store::{HostStore, KeptHost, StoreError, Which};
use crate::time::UnixTime;

macro_rules! insert {
    ($where_known:literal) => {
        concat!(
            "INSERT INTO mx_hosts (host, best, lost, lost_since, first, seen)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (host) DO ",
            $where_known
        )
    };
}

const KEEP: &str = insert!(
    "UPDATE SET best = excluded.best, lost = excluded.lost, lost_since = excluded.lost_since,
     first = excluded.first, seen = excluded.seen"
);
const KEEP_UNKNOWN: &str = insert!("NOTHING");

/// A row as it stands in the table.
#[derive(Debug, FromRow)]
struct Row {
    host: String,
    best: String,
    lost: Option<String>,
    lost_since: Option<i64>,
    first: i64,
    seen: i64,
}

impl Row {
    fn of(host: &Host, kept: KeptHost) -> Self {
        let KeptHost { known, first, seen } = kept;
        Self {
            host: host.to_string(),
            best: known.best.word().to_owned(),
            lost: known.lost.map(|lost| lost.kind.label().to_owned()),
            lost_since: known.lost.map(|lost| seconds(lost.since)),
            first: seconds(first),
            seen: seconds(seen),
        }
    }

    fn read(&self) -> Option<(Host, KeptHost)> {
        let lost = match (&self.lost, self.lost_since) {
            (Some(kind), Some(since)) => Some(Lost {
                kind: Kind::of_word(kind)?,
                since: time(since),
            }),
            _ => None,
        };
        let kept = KeptHost {
            known: Known {
                best: Shown::of_word(&self.best)?,
                lost,
            },
            first: time(self.first),
            seen: time(self.seen),
        };
        Some((self.host.parse().ok()?, kept))
    }

    async fn write(
        self,
        connection: &mut SqliteConnection,
        sql: &'static str,
    ) -> sqlx::Result<u64> {
        let done = sqlx::query(sql)
            .bind(self.host)
            .bind(self.best)
            .bind(self.lost)
            .bind(self.lost_since)
            .bind(self.first)
            .bind(self.seen)
            .execute(connection);
        Ok(done.await?.rows_affected())
    }
}

async fn find(connection: &mut SqliteConnection, host: &Host) -> sqlx::Result<Option<KeptHost>> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM mx_hosts WHERE host = $1")
        .bind(host.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.and_then(|row| row.read()).map(|(_, kept)| kept))
}

async fn forget(connection: &mut SqliteConnection, host: &Host) -> sqlx::Result<u64> {
    let done = sqlx::query("DELETE FROM mx_hosts WHERE host = $1")
        .bind(host.as_str())
        .execute(connection);
    Ok(done.await?.rows_affected())
}

async fn tidy(
    connection: &mut SqliteConnection,
    unseen_since: UnixTime,
    most: usize,
) -> sqlx::Result<u64> {
    let sql = "DELETE FROM mx_hosts WHERE seen < $1 OR host IN
               (SELECT host FROM mx_hosts ORDER BY seen DESC LIMIT -1 OFFSET $2)";
    let done = sqlx::query(sql)
        .bind(seconds(unseen_since))
        .bind(number(most))
        .execute(connection);
    Ok(done.await?.rows_affected())
}

async fn rows_behind(
    connection: &mut SqliteConnection,
    which: Which,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let sql = match which {
        Which::All => "SELECT * FROM mx_hosts WHERE host > $1 ORDER BY host LIMIT $2",
        Which::Lost => {
            "SELECT * FROM mx_hosts WHERE host > $1 AND lost IS NOT NULL ORDER BY host LIMIT $2"
        }
    };
    sqlx::query_as(sql)
        .bind(after)
        .bind(limit)
        .fetch_all(connection)
        .await
}

/// Hosts behind `after`. A row that cannot be read makes no page shorter: that would look like the last one.
async fn page(
    connection: &mut SqliteConnection,
    which: Which,
    after: Option<&Host>,
    limit: usize,
) -> sqlx::Result<Vec<(Host, KeptHost)>> {
    let mut after = after.map(Host::to_string).unwrap_or_default();
    let mut page = Vec::new();
    while page.len() < limit {
        let rows = rows_behind(connection, which, &after, number(limit - page.len())).await?;
        let Some(last) = rows.last() else { break };
        after.clone_from(&last.host);
        page.extend(rows.iter().filter_map(Row::read));
    }
    Ok(page)
}

/// Carries over the hosts that `to` does not know. What it does know was learnt over a longer time.
pub(super) async fn carry(
    from: &mut SqliteConnection,
    to: &mut SqliteConnection,
) -> sqlx::Result<()> {
    let mut change = to.begin().await?;
    let mut after = String::new();
    loop {
        let rows = rows_behind(from, Which::All, &after, BATCH).await?;
        let Some(last) = rows.last() else { break };
        after.clone_from(&last.host);
        for row in rows {
            row.write(&mut change, KEEP_UNKNOWN).await?;
        }
    }
    change.commit().await
}

impl HostStore for SqliteStore {
    fn host<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Option<KeptHost>, StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let found = find(&mut *open.connections.reader().await, host).await;
            self.0.done(&self.0.reads, open, found).await
        })
    }

    fn keep_host<'a>(
        &'a self,
        host: &'a Host,
        kept: KeptHost,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let mut writer = open.connections.writer().await;
            let done = Row::of(host, kept).write(&mut writer, KEEP).await;
            drop(writer);
            self.0.done(&self.0.writes, open, done).await.map(drop)
        })
    }

    fn forget_host<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let done = forget(&mut *open.connections.writer().await, host).await;
            let gone = self.0.done(&self.0.writes, open, done).await?;
            Ok(gone > 0)
        })
    }

    fn tidy_hosts(
        &self,
        unseen_since: UnixTime,
        most: usize,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let done = tidy(&mut *open.connections.writer().await, unseen_since, most).await;
            self.0.done(&self.0.writes, open, done).await
        })
    }

    fn hosts<'a>(
        &'a self,
        which: Which,
        after: Option<&'a Host>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Host, KeptHost)>, StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let found = page(&mut *open.connections.reader().await, which, after, limit).await;
            self.0.done(&self.0.reads, open, found).await
        })
    }
}
