//! `attributes`: values borrowed, computed, moved later; dotted and raw keys.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, record};

struct Job {
    queue: String,
    size: u64,
}
impl Job {
    fn queue(&self) -> &str {
        &self.queue
    }
    fn label(&self) -> String {
        format!("{}-{}", self.queue, self.size)
    }
}

#[profiled(attributes(queue = job.queue(), "messaging.destination.name" = job.label(), r#type = 3u8, big = job.size > 10))]
fn run(job: Job) -> Result<String, ()> {
    Ok(job.queue)
}

#[profiled(attributes(queue = job.queue(), label = &job.label()[..1], none = None::<&str>,))]
async fn run_later(job: Job) -> String {
    tokio::task::yield_now().await;
    job.queue
}

impl Job {
    #[profiled(attributes(queue = self.queue.as_str()))]
    async fn again(self, _n: u8) -> u64 {
        self.size
    }
    #[profiled(attributes(queue = self.queue))]
    fn grow(&mut self) -> &mut u64 {
        &mut self.size
    }
}

fn main() {
    let job = |size| Job { queue: "mail".into(), size };
    let recorded = record(|| {
        assert_eq!(run(job(1)), Ok("mail".into()));
        assert_eq!(run(job(20)), Ok("mail".into()));
        assert_eq!(block_on(run_later(job(1))), "mail");
        assert_eq!(block_on(job(2).again(0)), 2);
        assert_eq!(*job(3).grow(), 3);
    });
    let series: Vec<_> = recorded.series("run", &["queue", "messaging.destination.name", "type", "big"]).into_iter().collect();
    let values = |label: &str, big: &str| ["mail", label, "3", big].map(str::to_owned).to_vec();
    assert_eq!(series, [(values("mail-1", "false"), 1), (values("mail-20", "true"), 1)]);
    assert_eq!(recorded.series("run_later", &["queue", "label"]).into_keys().next().unwrap(), ["mail", "m"]);
    assert_eq!(recorded.series("Job::again", &["queue"]).into_keys().next().unwrap(), ["mail"]);
    assert_eq!(recorded.series("Job::grow", &["queue"]).into_keys().next().unwrap(), ["mail"]);
}
