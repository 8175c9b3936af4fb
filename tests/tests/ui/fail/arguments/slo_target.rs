use exporters::profiled;

#[profiled(slo(target = 0))]
fn zero() {}

#[profiled(slo(target = 100.1))]
fn above() {}

#[profiled(slo(target = -1))]
fn negative() {}

#[profiled(slo(latency = "250ms"))]
fn missing() {}

#[profiled(slo(target = 99, tagret = 98))]
fn unknown() {}

fn main() {
    zero();
    above();
    negative();
    missing();
    unknown();
}
