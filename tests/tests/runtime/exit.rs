//! However a program ends, what it recorded arrives exactly once, and soon.

use super::program::run;
use std::{os::unix::process::ExitStatusExt, time::Duration};

/// Runs a scenario that makes 1,000 calls, and ends with `code`.
fn sends_all(scenario: &str, code: i32) {
    for interval in ["1h", "1ms"] {
        let ended = run(&["exit", scenario], &[("PROFILING_INTERVAL", interval)]);
        assert_eq!(
            (ended.status.code(), ended.calls_sent()),
            (Some(code), 1000),
            "{scenario} {interval}: {ended:?}"
        );
        assert!(ended.stdout.ends_with("the end\n"), "{ended:?}");
        if interval == "1h" {
            assert_eq!(ended.sent.len(), 1, "{ended:?}");
        }
    }
}

#[test]
fn a_return_from_main_without_a_handle() {
    sends_all("return", 0);
}

#[test]
fn a_handle_that_is_dropped_early() {
    sends_all("drop_early", 0);
}

#[test]
fn an_exit_within_a_profiled_function() {
    sends_all("exit_in_call", 0);
}

#[test]
fn an_exit_on_another_thread() {
    sends_all("exit_on_thread", 3);
}

#[test]
fn an_exit_inside_a_runtime() {
    sends_all("exit_in_runtime", 0);
}

#[test]
fn an_error_from_main() {
    sends_all("error", 1);
}

#[test]
fn a_panic_out_of_main() {
    sends_all("panic", 101);
}

#[test]
fn a_shutdown_before_the_end() {
    sends_all("shutdown", 0);
}

#[test]
fn a_thread_that_goes_on_calling() {
    let ended = run(&["exit", "busy"], &[]);
    assert_eq!(ended.status.code(), Some(0));
    // What the other thread did, it did at least a thousand times.
    assert!(ended.calls_sent() >= 1000, "{ended:?}");
}

#[test]
fn a_backend_that_never_answers_holds_it_up_for_a_bounded_time() {
    for scenario in ["black_hole", "black_hole_in_shutdown"] {
        let ended = run(&["exit", scenario], &[]);
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        // Two seconds, and what a busy machine adds.
        assert!(ended.took < Duration::from_secs(10), "{ended:?}");
    }
}

#[test]
fn an_exporter_that_ends_the_program() {
    let ended = run(&["exit", "exporter_exits"], &[]);
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    assert!(ended.took < Duration::from_secs(10), "{ended:?}");
}

#[test]
fn two_panics_at_once_end_it_as_ever() {
    let ended = run(&["exit", "double_panic"], &[]);
    assert_eq!(ended.status.signal(), Some(libc::SIGABRT), "{ended:?}");
    assert!(ended.stderr.contains("the second panic"), "{ended:?}");
}
