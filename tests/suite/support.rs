//! The support must be right before anything that leans on it can be.
fn placeholder() {}
