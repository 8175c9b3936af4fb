use exporters::profiled;

#[profiled]
macro_rules! nothing {
    () => {};
}

#[profiled]
thread_local! {
    static N: u8 = 1;
}

nothing!();

fn main() {
    N.with(|_| ());
}
