//! The future is `Send`, `'static` and spawnable where the bare one is.

#[path = "../support.rs"]
mod support;

use std::sync::Arc;

use exporters::profiled;

#[profiled]
async fn work(shared: Arc<str>, numbers: Vec<u8>) -> Result<usize, std::io::Error> {
    let partial = numbers.len();
    tokio::task::yield_now().await;
    Ok(partial + shared.len())
}

#[profiled(attributes(name = shared.as_ref()))]
async fn keyed(shared: Arc<str>) -> usize {
    tokio::task::yield_now().await;
    shared.len()
}

#[profiled]
async fn guarded(lock: &std::sync::Mutex<u32>) -> u32 {
    let value = { *lock.lock().unwrap() };
    tokio::task::yield_now().await;
    value
}

struct Service;
impl Service {
    #[profiled]
    async fn serve(self: Arc<Self>) {
        tokio::task::yield_now().await;
    }
    /// `&self` of a type that is not `Sync`, dropped before the first await.
    #[profiled]
    async fn start(self) -> u8 {
        tokio::task::yield_now().await;
        1
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let task = tokio::spawn(work("abc".into(), vec![1, 2]));
        assert_eq!(task.await.unwrap().unwrap(), 5);
        assert_eq!(tokio::spawn(keyed("abc".into())).await.unwrap(), 3);
        assert_eq!(is_send(guarded(&std::sync::Mutex::new(3))).await, 3);
        tokio::spawn(Arc::new(Service).serve()).await.unwrap();
        assert_eq!(is_send(Service.start()).await, 1);
    });
}
