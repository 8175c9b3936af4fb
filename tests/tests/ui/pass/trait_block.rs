//! An annotated trait: its default bodies.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, ok, record};

#[profiled]
trait Handler {
    fn name(&self) -> String;
    fn describe(&self) -> String {
        self.name() + "!"
    }
    async fn handle(&mut self) -> usize {
        self.describe().len()
    }
    #[profiled(skip)]
    fn quiet(&self) {}
}

struct Echo;
impl Handler for Echo {
    fn name(&self) -> String {
        "echo".into()
    }
}

fn main() {
    let recorded = record(|| {
        assert_eq!(block_on(Echo.handle()), 5);
        Echo.quiet();
    });
    assert_eq!(recorded.of("Handler::describe"), ok(1));
    assert_eq!(recorded.of("Handler::handle"), ok(1));
    assert_eq!(recorded.names().len(), 2);
}
