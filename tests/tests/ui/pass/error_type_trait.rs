//! An error that says its own type.

#[path = "../support.rs"]
mod support;

use std::borrow::Cow;

use exporters::{ErrorType, profiled};
use support::record;

#[derive(Debug)]
enum Failure {
    Timeout,
    Refused(u16),
}

impl ErrorType for Failure {
    fn error_type(&self) -> Cow<'_, str> {
        match self {
            Self::Timeout => "timeout".into(),
            Self::Refused(code) => format!("refused_{code}").into(),
        }
    }
}

#[profiled]
fn connect(code: u16) -> Result<(), Failure> {
    match code {
        0 => Ok(()),
        1 => Err(Failure::Timeout),
        code => Err(Failure::Refused(code)),
    }
}

fn main() {
    let recorded = record(|| {
        for code in [0, 1, 1, 7] {
            let _ = connect(code);
        }
    });
    let errors: Vec<_> = recorded.errors("connect").into_iter().collect();
    assert_eq!(errors, [("refused_7".to_owned(), 1), ("timeout".to_owned(), 2)]);
}
