//! The support must be right before anything that leans on it can be.

mod addresses;
mod certificates;
mod dns;
mod smtp;
mod starttls;
mod sts_host;
