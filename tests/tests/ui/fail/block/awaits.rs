//! A block that waits is a future.

async fn step() {}

async fn waits() {
    exporters::profile!("waits", {
        step().await;
        let later = async { step().await };
        later.await
    });
}

fn main() {}
