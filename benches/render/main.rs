//! What one line of a page of metrics costs to render: ours, the floors and the peers.
//!
//! No benchmarking framework, for the reasons given in `call`: a process per renderer, each in turn with the floors for its own page.
//!
//! ```text
//! cargo bench -p benches --bench render
//! cargo bench -p benches --bench render -- --quick
//! ```

mod floors;
mod ours;
mod peers;

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use benches::allocations::{Counting, allocations};
use benches::{Arguments, Result, extremes, median, verdict};
use floors::{Copied, Naive};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Times what writing the numbers into finished text costs.
const TARGET: f64 = 2.0;

/// Something that renders its metrics into a buffer of its own, again and again.
trait Render {
    /// The page, text or OpenMetrics.
    fn render(&mut self) -> &[u8];
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Histogram,
}

const KINDS: [(&str, Kind); 2] = [("counters", Kind::Counter), ("histograms", Kind::Histogram)];

struct Renderer {
    name: &'static str,
    ours: bool,
    quick: bool,
    start: fn(Kind, usize) -> Result<Box<dyn Render>>,
}

static RENDERERS: [Renderer; 5] = [
    Renderer { name: "exporters, text", ours: true, quick: true, start: ours::text },
    Renderer { name: "exporters, OpenMetrics", ours: true, quick: false, start: ours::open_metrics },
    Renderer { name: "prometheus-client", ours: false, quick: true, start: peers::prometheus_client },
    Renderer { name: "prometheus", ours: false, quick: false, start: peers::prometheus },
    Renderer { name: "metrics-exporter-prometheus", ours: false, quick: false, start: peers::metrics },
];

/// The function that a series is about.
fn function(series: usize) -> String {
    format!("my_crate::module::function_{series:06}")
}

fn main() -> Result<()> {
    let arguments = Arguments::of_process();
    match arguments.child() {
        Some([kind, lines, renderer, rounds]) => {
            let kind = KINDS.iter().find(|(name, _)| name == kind).ok_or("no such kind")?.1;
            let renderer = RENDERERS.iter().find(|each| each.name == renderer).ok_or("no such renderer")?;
            measure((renderer.start)(kind, lines.parse()?)?, rounds.parse()?)
        }
        Some(words) => Err(format!("cannot do {words:?}").into()),
        None => report(&arguments),
    }
}

/// Prints the lines of the page and then, medians over the rounds: nanoseconds a line of the copy, of the naive floor and of the
/// renderer, and the most allocations a render.
fn measure(mut subject: Box<dyn Render>, rounds: usize) -> Result<()> {
    // The second page comes out of buffers that have found their size.
    subject.render();
    let page = subject.render().to_vec();
    let mut naive = Naive::of(&page)?;
    let lines = naive.lines() as f64;
    let mut copied = Copied::of(&page);
    let mut times = [const { Vec::new() }; 3];
    let mut allocated = 0;
    for round in 0..=rounds {
        let renderers: [&mut dyn Render; 3] = [&mut copied, &mut naive, &mut *subject];
        for (which, renderer) in renderers.into_iter().enumerate() {
            let (took, allocations) = turn(renderer);
            if round > 0 {
                times[which].push(took.as_nanos() as f64 / lines);
                if which == 2 {
                    allocated = allocated.max(allocations);
                }
            }
        }
    }
    let [copied, naive, subject] = times.map(median);
    println!("\n{lines} {copied} {naive} {subject} {allocated}");
    Ok(())
}

/// Time and allocations of one render, on average over as many as fit into a few milliseconds. The first, which finds the page of
/// another renderer in the caches, is not counted.
fn turn(renderer: &mut dyn Render) -> (Duration, u64) {
    black_box(renderer.render());
    let (start, before, mut renders) = (Instant::now(), allocations(), 0);
    loop {
        black_box(renderer.render());
        renders += 1;
        let took = start.elapsed();
        if took > Duration::from_millis(5) {
            return (took / renders, (allocations() - before).div_ceil(u64::from(renders)));
        }
    }
}

fn report(arguments: &Arguments) -> Result<()> {
    let quick = arguments.quick();
    let (processes, rounds, sizes) =
        if quick { (1, "3", &["10000"][..]) } else { (3, "7", &["10000", "100000"][..]) };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:<12}{:>8}  {:<28}{:>7}{:>7}{:>9}{:>8}{:>9}  verdict",
        "", "lines", "renderer", "copy", "naive", "ns/line", "x naive", "allocs"
    )?;
    for (kind, _) in KINDS {
        for size in sizes {
            for renderer in
                RENDERERS.iter().filter(|each| arguments.selects(each.name) && (each.quick || !quick))
            {
                benches::progress(&format!("{kind}, {size} lines: {}", renderer.name));
                let mut found = Vec::with_capacity(processes);
                for _ in 0..processes {
                    found.push(benches::child(&[kind, size, renderer.name, rounds])?);
                }
                benches::progress("");
                let of = |column: usize| median(found.iter().map(|numbers| numbers[column]));
                let (lines, copied, naive, subject) = (of(0), of(1), of(2), of(3));
                let ratio = median(found.iter().map(|numbers| numbers[3] / numbers[2]));
                let (_, allocated) = extremes(found.iter().map(|numbers| numbers[4]));
                let verdict = if renderer.ours { verdict(ratio <= TARGET && allocated == 0.0) } else { "" };
                writeln!(
                    out,
                    "{kind:<12}{lines:>8}  {:<28}{copied:>7.1}{naive:>7.1}{subject:>9.1}{ratio:>8.1}{allocated:>9}  {verdict}",
                    renderer.name
                )?;
            }
        }
    }
    writeln!(
        out,
        "copy: the finished page; naive: finished text and the numbers. At most, of ours: {TARGET}x naive, no allocation."
    )?;
    Ok(())
}
