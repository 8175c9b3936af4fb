use exporters::profiled;

#[profiled]
fn sync(n: u8) -> u32 {
    n
}

#[profiled]
async fn later(n: u8) -> Result<u32, String> {
    n
}

#[profiled]
fn missing() -> u32 {}

#[profiled]
fn unit() {
    1
}

#[profiled]
fn unknown() -> Nothing {
    1
}

fn main() {}
