//! A forked process starts from nothing, and takes nothing from its parent.

use super::program::run;

#[test]
fn children_send_nothing_of_their_parents() {
    let ended = run(&["fork", "300"], &[]);
    assert!(ended.status.success(), "{ended:?}");
    let line = ended.stdout.lines().last().unwrap_or_default();
    let (process, calls) = line.split_once(' ').unwrap_or_else(|| panic!("{ended:?}"));
    let (process, calls): (u32, u64) = (process.parse().unwrap(), calls.parse().unwrap());
    // Those of the children that began anew say so by their status; none has sent to the parent's exporter.
    assert!(ended.sent.iter().all(|(sender, _)| *sender == process), "{ended:?}");
    assert!(calls > 0 && ended.calls_sent() == calls, "{line}: {:?}", ended.calls_sent());
}

#[test]
fn a_call_that_forks_ends_in_both_processes_and_counts_in_the_parent() {
    let ended = run(&["fork_in_call"], &[]);
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.calls_sent(), 11, "{ended:?}");
}
