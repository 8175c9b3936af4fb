use exporters::profiled;

#[profiled]
const fn limit() -> usize {
    3
}

#[profiled]
pub const unsafe extern "C" fn pointed() {}

struct S;

#[profiled]
impl S {
    const fn left_alone() {}
    #[profiled]
    const fn asked_for() {}
}

static BUFFER: [u8; limit()] = [0; limit()];

fn main() {
    let _ = BUFFER;
    S::left_alone();
    S::asked_for();
}
