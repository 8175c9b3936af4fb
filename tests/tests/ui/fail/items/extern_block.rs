use exporters::profiled;

#[profiled]
unsafe extern "C" {
    fn abs(n: i32) -> i32;
}

fn main() {
    unsafe { abs(1) };
}
