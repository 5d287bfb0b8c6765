//! The page, for whoever looks in: its files are part of the program, and it loads nothing from elsewhere.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Problem;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// What the page consists of, but for itself.
const FILES: [(&str, &str, &str); 8] = [
    ("page.css", CSS, include_str!("page/page.css")),
    ("seal.svg", SVG, include_str!("page/seal.svg")),
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("api.js", SCRIPT, include_str!("page/api.js")),
    ("chart.js", SCRIPT, include_str!("page/chart.js")),
    ("delivery.js", SCRIPT, include_str!("page/delivery.js")),
    ("dom.js", SCRIPT, include_str!("page/dom.js")),
    ("lists.js", SCRIPT, include_str!("page/lists.js")),
];

/// The page itself.
pub(super) async fn index() -> Response {
    let kind = [(header::CONTENT_TYPE, HTML)];
    (kind, include_str!("page/index.html")).into_response()
}

/// One of its files.
pub(super) async fn file(Path(wanted): Path<String>) -> Response {
    let found = FILES.iter().find(|(name, ..)| *name == wanted);
    match found {
        Some((_, kind, text)) => ([(header::CONTENT_TYPE, *kind)], *text).into_response(),
        None => Problem::new(StatusCode::NOT_FOUND, "the page has no such file").into_response(),
    }
}
