//! What OTLP costs: to write it, and to have spans of calls arrive somewhere.
//!
//! First, 1,000 spans and the metrics of 1,000 functions are written: by ours, and by `prost`, which OpenTelemetry's own exporter uses, on
//! generated messages that are ready to be written; it has to make these of its spans first.
//!
//! Then whole processes make spans and send them to a receiver in another process: ours, OpenTelemetry's, fastrace's, and the floor, which
//! writes them by hand and posts them from one thread.
//!
//! ```text
//! cargo bench -p benches --bench otlp
//! cargo bench -p benches --bench otlp -- --quick
//! cargo bench -p benches --bench otlp -- encoder     # the first part alone
//! cargo bench -p benches --bench otlp -- end-to-end  # the second
//! ```

mod by_hand;
mod encoder;
mod end_to_end;
mod producers;
mod receiver;

use benches::allocations::{self, Counting};
use benches::{Arguments, Result};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> Result<()> {
    let arguments = Arguments::of_process();
    if arguments.child().is_some() {
        allocations::stop();
    }
    match arguments.child() {
        Some([what, delay]) if what == "receive" => return receiver::run(delay.parse()?),
        Some([what, rest @ ..]) if what == "produce" => return producers::run(rest),
        Some(words) => return Err(format!("cannot do {words:?}").into()),
        None => {}
    }
    if arguments.selects("encoder") {
        encoder::report(arguments.quick())?;
    }
    if arguments.selects("end-to-end") {
        end_to_end::report(arguments.quick())?;
    }
    Ok(())
}
