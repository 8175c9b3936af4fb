//! Where recording and exporting meet.

mod test_profiler;

pub use test_profiler::{TestProfiler, test};
