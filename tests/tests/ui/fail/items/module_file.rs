use exporters::profiled;

#[profiled]
#[path = "../../support.rs"]
mod support;

fn main() {}
