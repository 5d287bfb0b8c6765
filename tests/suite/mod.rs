//! The scenarios, one module for each promise.

mod chunking;
mod delivery;
mod limits;
mod routing;
mod support;
