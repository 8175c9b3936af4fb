use exporters::profiled;

#[profiled(kind = "sever")]
fn f() {}

fn main() {
    f();
}
