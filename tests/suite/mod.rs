//! The scenarios, one module for each promise.

mod attacks;
mod authorize;
mod check;
mod chosen;
mod chunking;
mod dane;
mod decide;
mod delivery;
mod dnssec;
mod downgrade;
mod fetch;
mod levels;
mod lifecycle;
mod limits;
mod metrics;
mod mta_sts;
mod routing;
mod socketmap;
mod support;
