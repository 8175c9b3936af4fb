use exporters::profiled;

fn main() {
    #[profiled]
    let f = || 1;
    f();
}
