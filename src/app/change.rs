//! Rules that somebody adds or ends at the admin endpoint: written as `waxseal rule` writes them, then read again.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::task::spawn_blocking;

use super::reload::Reloader;
use crate::admin::{ChangeError, ChangeView, NewRule, Reload, RuleDesk, RuleScope};
use crate::config::{ByHand, Config, Draft, RuleError, Scope};
use crate::policy::act::Actor;

/// What is done to the file.
enum Change {
    Add(Box<Draft>),
    Expire(Scope),
}

/// The file of rules that are made by hand, and the waxseal that reads it again.
pub(super) struct ByHandDesk(pub(super) Arc<Reloader>);

impl ByHandDesk {
    async fn change(&self, change: Change, by: Actor) -> Result<ChangeView, ChangeError> {
        let source = self.0.source.clone();
        let now = self.0.lasting.clock.now();
        let written = spawn_blocking(move || {
            let config = Config::load(source.as_deref()).map_err(RuleError::from)?;
            let mut file = ByHand::open(&config, now)?;
            match change {
                Change::Add(draft) => {
                    file.add(&draft)?;
                    let stored = file.store()?;
                    let origin = stored.last().map(ToString::to_string);
                    Ok((Vec::from_iter(origin), stored.warnings))
                }
                Change::Expire(scope) => {
                    let ended = file.expire(&scope)?;
                    file.store()?;
                    // That they have expired is what was asked for.
                    Ok((ended.iter().map(ToString::to_string).collect(), Vec::new()))
                }
            }
        });
        let written = written.await.map_err(|error| failed(&error))?;
        let (origins, warnings) = written.map_err(|error| refusal(&error))?;
        let result = self.0.reload(by).await.map_err(|error| failed(&error))?;
        Ok(ChangeView {
            origins,
            warnings,
            result,
        })
    }
}

impl RuleDesk for ByHandDesk {
    fn add(&self, rule: NewRule, by: Actor) -> BoxFuture<'_, Result<ChangeView, ChangeError>> {
        Box::pin(async move { self.change(Change::Add(Box::new(draft(rule)?)), by).await })
    }

    fn expire(
        &self,
        scope: RuleScope,
        by: Actor,
    ) -> BoxFuture<'_, Result<ChangeView, ChangeError>> {
        let RuleScope {
            domains,
            mx,
            senders,
        } = scope;
        let scope = Scope {
            domains,
            mx,
            senders,
        };
        Box::pin(self.change(Change::Expire(scope), by))
    }
}

fn draft(rule: NewRule) -> Result<Draft, ChangeError> {
    let expires = rule.expires.map(|text| {
        let parsed = text.parse();
        parsed.map_err(|_| {
            ChangeError::Wrong(format!(
                "`{text}` is neither a date (2030-12-31) nor a time with its offset (2030-12-31T18:00:00Z)"
            ))
        })
    });
    Ok(Draft {
        domains: rule.domains,
        mx: rule.mx,
        senders: rule.senders,
        tls: rule.tls,
        floor: rule.floor,
        matches: rule.r#match,
        fingerprints: rule.fingerprints,
        // A path of this machine is nobody else's to choose.
        ca_file: None,
        servername: rule.servername,
        min_version: rule.min_version,
        mta_sts: rule.mta_sts,
        route: rule.route,
        mode: rule.mode,
        reason: rule.reason,
        expires: expires.transpose()?,
    })
}

fn refusal(error: &RuleError) -> ChangeError {
    let why = error.to_string();
    match error {
        RuleError::Config(_) => ChangeError::Wrong(why),
        RuleError::Unknown(_) => ChangeError::Unknown(why),
        RuleError::Nowhere(_)
        | RuleError::Elsewhere { .. }
        | RuleError::Shared { .. }
        | RuleError::Expired { .. } => ChangeError::NotOurs(why),
        RuleError::Write { .. } => ChangeError::Failed(why),
    }
}

fn failed(error: &impl ToString) -> ChangeError {
    ChangeError::Failed(error.to_string())
}
