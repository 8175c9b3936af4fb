use exporters::profiled;

#[profiled(nam = "checkout")]
fn near() {}

#[profiled(colour = 3, erorr_if = |r| *r, time_one_in = 8, slow(target = 99))]
fn several() -> bool {
    true
}

fn main() {
    // The functions are still there.
    near();
    several();
}
