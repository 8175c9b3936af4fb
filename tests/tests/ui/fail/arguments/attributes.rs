use exporters::profiled;

#[profiled(attributes(queue))]
fn no_value(queue: u8) {}

#[profiled(attributes(messaging.system = "kafka"))]
fn dotted() {}

#[profiled(attributes(queue = 1, queue = 2))]
fn twice() {}

#[profiled(attributes(function = 1))]
fn reserved() {}

#[profiled(attributes("" = 1))]
fn empty() {}

fn main() {
    no_value(1);
    dotted();
    twice();
    reserved();
    empty();
}
