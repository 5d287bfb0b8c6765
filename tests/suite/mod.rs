//! The scenarios, one module for each promise.

mod admin;
mod attacks;
mod audit;
mod authorize;
mod check;
mod chosen;
mod chunking;
mod dane;
mod decide;
mod delivery;
mod destination;
mod dnssec;
mod doctor;
mod downgrade;
mod fetch;
mod levels;
mod lifecycle;
mod limits;
mod metrics;
mod mta_sts;
mod pool;
mod resumption;
mod routing;
mod simulate;
mod socketmap;
mod support;
