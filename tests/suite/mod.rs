//! The scenarios, one module for each promise.

mod attacks;
mod authorize;
mod check;
mod decide;
mod delivery;
mod levels;
mod support;
