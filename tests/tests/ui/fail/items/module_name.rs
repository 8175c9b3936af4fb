use exporters::profiled;

#[profiled(name = "shop")]
mod shop {
    pub fn open() {}
}

fn main() {
    shop::open();
}
