use exporters::profiled;

#[profiled(attributes(queue = que))]
fn f(queue: u8) {
    let _ = queue;
}

fn main() {
    f(1);
}
