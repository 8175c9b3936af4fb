use exporters::profiled;

#[profiled(name = "a", span = true, name = "b")]
fn f() {}

fn main() {
    f();
}
