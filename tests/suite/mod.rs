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
mod doctor;
mod fetch;
mod levels;
mod lifecycle;
mod limits;
mod mta_sts;
mod routing;
mod simulate;
mod socketmap;
mod support;
