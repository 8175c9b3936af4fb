use exporters::profiled;

#[profiled(error_type = |e| "x")]
fn f() -> u8 {
    1
}

fn main() {
    f();
}
