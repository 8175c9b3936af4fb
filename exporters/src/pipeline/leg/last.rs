//! The end of a leg whose backend does not answer: all that waits is put aside in as few parts as can be, since each takes a while.

use super::*;
use crate::{Batch, Info, Receipt, Result, layers::script::paused, model::sample::snapshot};

/// The most items it takes at once.
const MOST: usize = 100;
const ITEMS: usize = 5000;

/// Before the end, a batch of more than one item is too large, and one of one item meets nobody; then each is put aside.
#[derive(Clone, Debug, Default)]
struct Aside {
    /// Nothing is too large, and nobody answers.
    hangs: bool,
    put: Arc<Mutex<Vec<usize>>>,
}

impl Exporter for Aside {
    fn info(&self) -> Info {
        Info::new("aside")
    }
    fn capability(&self) -> Capability {
        Capability { dead_letters: true, ..Capability::METRICS.with_max_items(MOST) }
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let fail = |kind| Err(Error::new(kind, "as the test has it"));
        match batch.deadline().at() {
            None if !self.hangs && batch.len() > 1 => return fail(ErrorKind::PayloadTooLarge),
            None if !self.hangs => return fail(ErrorKind::Unavailable),
            _ => batch.deadline().passed().await,
        }
        // As long as it takes to have it on the disk.
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.put.lock().unwrap().push(batch.len());
        Ok(Receipt::dead_lettered(batch.len()))
    }
    async fn health(&self) -> Health {
        Health::Healthy
    }
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

/// Whatever was tried before: the whole of what waits is put aside within the time that there is for it.
#[test]
fn what_is_put_aside_at_the_end_is_not_in_many_parts() {
    for (hangs, most) in [(false, 16), (true, 10)] {
        paused(async move {
            let exporter = Aside { hangs, ..Aside::default() };
            let options = LegOptions::default().with_buffer(BufferConfig::default().with_size(10 * ITEMS));
            let leg = Arc::new(Leg::new(AnyExporter::new(exporter.clone()), "leg", options, 1));
            tokio::spawn(leg.clone().run());
            let items = || Arc::new(snapshot((0..ITEMS).map(|at| (at, 1))));
            for _ in 0..3 {
                leg.offer(&items());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (began, now) = (Instant::now(), std::time::Instant::now());
            let done = leg.stop(&items(), now + Duration::from_secs(2));
            while Arc::strong_count(&done) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            done.wait(now).unwrap();
            let (ledger, put) = (leg.ledger(), exporter.put.lock().unwrap().clone());
            assert_eq!(ledger.dead_lettered + ledger.merged, ledger.accepted, "{ledger:?}");
            assert!(put.len() <= most, "{put:?}");
            assert!(began.elapsed() <= Duration::from_secs(2), "{:?}", began.elapsed());
        });
    }
}
