//! A profiler lives inside any async runtime, or none, and on any of its threads.

use super::{LONG, alone, assert_exact, work_times};
use exporters::{Batch, Capability, Exporter, Health, Info, MemoryExporter, Profiler, Receipt, Result};
use std::{sync::mpsc, thread, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    task::{LocalSet, spawn_blocking},
};

/// Needs a tokio runtime to export: ours, since the host may have none.
#[derive(Clone, Debug)]
struct NeedsTokio(MemoryExporter);

impl Exporter for NeedsTokio {
    fn info(&self) -> Info {
        Info::new("needs_tokio")
    }
    fn capability(&self) -> Capability {
        Capability::METRICS
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::spawn(tokio::task::yield_now()).await.map_err(|error| {
            exporters::Error::new(exporters::ErrorKind::Unexpected, "the task ended").with_source(error)
        })?;
        self.0.export(batch).await
    }
    async fn health(&self) -> Health {
        self.0.health().await
    }
    async fn flush(&self) -> Result<()> {
        self.0.flush().await
    }
    async fn shutdown(&self) -> Result<()> {
        self.0.shutdown().await
    }
}

/// The stages of a profiler's life, to be run one by one.
struct Life {
    memory: MemoryExporter,
    profiler: Option<Profiler>,
}

impl Life {
    fn begin() -> Self {
        let memory = MemoryExporter::new();
        let profiler = Profiler::builder().exporter(NeedsTokio(memory.clone())).start().unwrap();
        Self { memory, profiler: Some(profiler) }
    }

    fn profiler(&self) -> &Profiler {
        self.profiler.as_ref().expect("not dropped yet")
    }

    fn record_and_flush(&self) {
        work_times(10);
        self.profiler().flush(LONG).unwrap();
    }

    fn end(mut self) {
        work_times(10);
        self.profiler().shutdown(LONG).into_result().unwrap();
        self.profiler = None;
        assert_exact(&self.memory.batches(), 20);
    }

    fn whole() {
        let life = Self::begin();
        life.record_and_flush();
        life.end();
    }
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Fails where `run` panics, and where it hangs.
fn ends(what: &str, run: impl FnOnce() + Send + 'static) {
    let _alone = alone();
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    match wait.recv_timeout(LONG) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} hangs"),
        _ => assert!(thread.join().is_ok(), "{what} panicked"),
    }
}

#[test]
fn without_a_runtime() {
    ends("a plain thread", Life::whole);
    ends("three threads", || {
        let life = thread::spawn(Life::begin).join().unwrap();
        let life = thread::spawn(move || {
            life.record_and_flush();
            life
        })
        .join()
        .unwrap();
        thread::spawn(move || life.end()).join().unwrap();
    });
}

#[test]
fn inside_of_futures() {
    for runtime in [multi_thread, current_thread] {
        ends("block_on", move || runtime().block_on(async { Life::whole() }));
        ends("a task", move || {
            let runtime = runtime();
            runtime.block_on(async { tokio::spawn(async { Life::whole() }).await.unwrap() });
        });
        ends("await between the stages", move || {
            runtime().block_on(async {
                let life = Life::begin();
                tokio::task::yield_now().await;
                life.record_and_flush();
                tokio::task::yield_now().await;
                life.end();
            });
        });
    }
    ends("a LocalSet", || {
        let local = LocalSet::new();
        local.block_on(&current_thread(), async {
            tokio::task::spawn_local(async { Life::whole() }).await.unwrap();
        });
    });
}

#[test]
fn on_threads_of_a_runtime_that_may_block() {
    for runtime in [multi_thread, current_thread] {
        ends("spawn_blocking", move || {
            runtime().block_on(async { spawn_blocking(Life::whole).await.unwrap() });
        });
        ends("begun in a future, ended where it may block", move || {
            runtime().block_on(async {
                let life = Life::begin();
                let life = spawn_blocking(|| {
                    life.record_and_flush();
                    life
                })
                .await
                .unwrap();
                thread::spawn(move || life.end()).join().unwrap();
            });
        });
    }
    ends("a LocalSet", || {
        LocalSet::new().block_on(&current_thread(), async { spawn_blocking(Life::whole).await.unwrap() });
    });
    ends("block_in_place", || {
        multi_thread().block_on(async {
            tokio::spawn(async { tokio::task::block_in_place(Life::whole) }).await.unwrap();
        });
    });
}

#[test]
fn longer_than_the_runtime_it_began_in() {
    for runtime in [multi_thread, current_thread] {
        ends("a runtime dropped first", move || {
            let runtime = runtime();
            let life = runtime.block_on(async { Life::begin() });
            drop(runtime);
            life.record_and_flush();
            life.end();
        });
        ends("a runtime dropped before the end", move || {
            let runtime = runtime();
            let life = runtime.block_on(async {
                let life = Life::begin();
                life.record_and_flush();
                life
            });
            runtime.shutdown_background();
            life.end();
        });
    }
}

#[test]
fn ended_by_a_future_that_is_dropped() {
    /// Ends the profiler when it is dropped.
    struct Ends(Option<Life>);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.take().into_iter().for_each(Life::end);
        }
    }
    for runtime in [multi_thread, current_thread] {
        ends("a task that its runtime drops", move || {
            let runtime = runtime();
            let (begun, wait) = mpsc::channel();
            runtime.spawn(async move {
                let life = Life::begin();
                life.record_and_flush();
                let _ends = Ends(Some(life));
                let _ = begun.send(());
                std::future::pending::<()>().await;
            });
            runtime.block_on(tokio::task::yield_now());
            wait.recv().unwrap();
            drop(runtime);
        });
    }
}
