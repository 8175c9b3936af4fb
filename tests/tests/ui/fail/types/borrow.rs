use exporters::profiled;

#[profiled]
fn dangling() -> &str {
    "a"
}

#[profiled]
fn local() -> &'static str {
    let text = String::new();
    &text
}

fn main() {}
