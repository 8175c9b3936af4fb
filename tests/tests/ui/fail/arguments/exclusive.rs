use exporters::profiled;

#[profiled(ok_if = |r| *r, error_if = |r| !*r)]
fn verdicts() -> bool {
    true
}

#[profiled(time_one_in = 8, slo(target = 99.9))]
fn objective() {}

#[profiled(skip, name = "x")]
fn skipped() {}

fn main() {
    verdicts();
    objective();
    skipped();
}
