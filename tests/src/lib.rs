//! What the tests share.

pub mod linking;
