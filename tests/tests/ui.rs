//! What the macros accept, and how they refuse the rest.

/// Each file under `pass` runs, and looks at what it recorded.
#[test]
fn accepts() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}

/// Each file under `fail` fails with the messages beside it.
#[test]
fn refuses() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*/*.rs");
}
