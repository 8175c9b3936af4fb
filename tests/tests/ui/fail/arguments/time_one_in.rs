use exporters::profiled;

#[profiled(time_one_in = 0)]
fn zero() {}

#[profiled(time_one_in = -1)]
fn negative() {}

#[profiled(time_one_in = 5_000_000_000)]
fn large() {}

fn main() {
    zero();
    negative();
    large();
}
