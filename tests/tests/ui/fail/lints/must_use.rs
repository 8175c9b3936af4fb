//! What an `async fn` returns is still not to be forgotten.
#![deny(unused_must_use)]

#[exporters::profiled]
#[must_use]
async fn answer() -> u8 {
    42
}

async fn forgets() {
    answer().await;
}

fn main() {
    drop(forgets());
}
