use exporters::profiled;

#[profiled(slo(latency = "250", target = 99))]
fn no_unit() {}

#[profiled(slo(latency = 250, target = 99))]
fn number() {}

#[profiled(slo(latency = "3 fortnights", target = 99))]
fn unit() {}

#[profiled(slo(latency = "0ms", target = 99))]
fn zero() {}

fn main() {
    no_unit();
    number();
    unit();
    zero();
}
