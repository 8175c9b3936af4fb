//! The ways in which a program ends.

use super::{LONG, sink::Sink, start, work, work_times};
use exporters::{Profiler, profiled};
use std::{
    process::{ExitCode, exit},
    sync::mpsc,
    thread,
};

#[profiled]
fn exits() {
    work_times(1000);
    println!("the end");
    exit(0);
}

/// Panics when it is dropped.
struct Panics;

impl Drop for Panics {
    fn drop(&mut self) {
        panics("the second panic");
    }
}

#[profiled]
fn panics(message: &str) {
    panic!("{message}");
}

#[profiled]
fn panics_twice() {
    let _panics = Panics;
    panics("the first panic");
}

pub(crate) fn run(scenario: &str) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let with = |sink| Profiler::builder().exporter(sink).start();
    match scenario {
        "return" => {
            let _ = start()?;
            work_times(1000);
        }
        "drop_early" => {
            let profiler = start()?;
            work_times(400);
            drop(profiler);
            work_times(600);
        }
        "exit_in_call" => {
            let _profiler = start()?;
            exits();
        }
        "exit_on_thread" => {
            let _profiler = start()?;
            work_times(500);
            thread::spawn(|| {
                work_times(500);
                println!("the end");
                exit(3);
            });
            loop {
                thread::park();
            }
        }
        "exit_in_runtime" => {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            runtime.block_on(async {
                let _profiler = start()?;
                tokio::spawn(async { exits() }).await?;
                Ok::<_, Box<dyn std::error::Error>>(())
            })?;
        }
        "error" => {
            let _profiler = start()?;
            work_times(1000);
            println!("the end");
            return Err("it failed".into());
        }
        "panic" => {
            let _profiler = start()?;
            work_times(1000);
            println!("the end");
            panics("out of main");
        }
        "shutdown" => {
            let profiler = start()?;
            work_times(1000);
            profiler.shutdown(LONG).into_result()?;
            work_times(77);
        }
        "busy" => {
            let _profiler = start()?;
            let (thousand, wait) = mpsc::channel();
            thread::spawn(move || {
                work_times(1000);
                let _ = thousand.send(());
                loop {
                    let _ = work(true);
                }
            });
            wait.recv()?;
        }
        "black_hole" => {
            let _profiler = with(Sink::NeverAnswers)?;
            work_times(1000);
        }
        "black_hole_in_shutdown" => {
            let _profiler = with(Sink::NeverEnds)?;
            work_times(1000);
        }
        "exporter_exits" => {
            let profiler = with(Sink::Exits)?;
            work_times(1000);
            profiler.flush(LONG)?;
        }
        "double_panic" => {
            let _profiler = start()?;
            panics_twice();
        }
        _ => return Err(format!("no scenario {scenario}").into()),
    }
    println!("the end");
    Ok(ExitCode::SUCCESS)
}
