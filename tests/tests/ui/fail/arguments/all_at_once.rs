use exporters::profiled;

#[profiled(nmae = "a", time_one_in = 0, kind = "x", slo(target = 101), span = 1)]
const fn f() -> u8 {
    1
}

const ONE: u8 = f();

fn main() {
    assert_eq!(ONE, 1);
}
