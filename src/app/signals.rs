//! What signals order: to stop, to reload, to open the audit log anew.

use std::future::pending;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{App, Error, tell_manager};
use crate::policy::act::Actor;

/// SIGTERM and SIGINT.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(super) fn listen() -> Result<Self, Error> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next order to stop.
    pub(super) async fn ordered(&mut self) -> Actor {
        tokio::select! {
            _ = self.terminate.recv() => Actor::Signal("SIGTERM"),
            _ = self.interrupt.recv() => Actor::Signal("SIGINT"),
        }
    }
}

/// SIGHUP.
pub(super) struct Hangup(Signal);

impl Hangup {
    pub(super) fn listen() -> Result<Self, Error> {
        listen(SignalKind::hangup()).map(Self)
    }

    /// Reloads at every order and never ends. The orders that come during a reload are one for another
    /// reload after it.
    pub(super) async fn obey(&mut self, app: &App) {
        while self.0.recv().await.is_some() {
            if let Ok(now) = NotifyState::monotonic_usec_now() {
                tell_manager(&[NotifyState::Reloading, now]);
            }
            // The result is in the log and in the metrics.
            let _ = app.reload(Actor::Signal("SIGHUP")).await;
            tell_manager(&[NotifyState::Ready]);
        }
        pending::<()>().await;
    }
}

/// SIGUSR1, which logrotate sends.
pub(super) struct Usr1(Signal);

impl Usr1 {
    /// From then on the signal ends nothing, even where there is no audit log.
    pub(super) fn listen() -> Result<Self, Error> {
        listen(SignalKind::user_defined1()).map(Self)
    }

    /// Opens the audit log anew at every order, and never ends.
    pub(super) async fn obey(&mut self, app: &App) {
        while self.0.recv().await.is_some() {
            app.reopen_audit();
        }
        pending::<()>().await;
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Error> {
    signal(kind).map_err(Error::Signals)
}
