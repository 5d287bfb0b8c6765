//! The scenarios, one module for each promise.

mod delivery;
mod support;
