//! The scenarios, one module for each promise.

mod support;
