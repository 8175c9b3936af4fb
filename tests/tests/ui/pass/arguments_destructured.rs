//! Patterns as arguments, sync and async.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, ok, record};

struct Point {
    x: i32,
    y: i32,
}
struct Unit;

#[profiled]
fn sync((a, mut b): (u32, u32), Point { x, y: up }: Point, [first, .., last]: [u8; 4], &c: &u32, _: String) -> i64 {
    b += 1;
    i64::from(a + b + c) + i64::from(x + up) + i64::from(first + last)
}

#[profiled]
async fn on_await(
    (a, mut b): (u32, u32),
    Point { x, .. }: Point,
    Unit: Unit,
    ref text: String,
    whole @ (_, tail): (u8, u8),
    _: String,
) -> usize {
    b += a;
    tokio::task::yield_now().await;
    b as usize + x as usize + text.len() + usize::from(whole.0 + tail)
}

#[profiled]
fn by_reference(ref mut list: Vec<u8>, (ref mut text, ref other): (String, String)) -> usize {
    list.push(1);
    text.push_str(other);
    list.len() + text.len()
}

#[profiled(attributes(a = a, queue = queue.as_str()))]
async fn keyed((a, _b): (u32, String), (_, queue): (u8, String)) -> usize {
    queue.len() + a as usize
}

#[profiled(attributes(a = a, queue = queue))]
fn keyed_sync((a, _b): (u32, String), (_, mut queue): (u8, String)) -> usize {
    queue.push('!');
    queue.len() + a as usize
}

fn main() {
    let recorded = record(|| {
        assert_eq!(sync((1, 2), Point { x: 3, y: 4 }, [1, 0, 0, 2], &5, String::new()), 19);
        assert_eq!(by_reference(vec![], ("a".into(), "b".into())), 3);
        assert_eq!(block_on(on_await((1, 2), Point { x: 3, y: 0 }, Unit, "ab".into(), (1, 2), String::new())), 11);
        assert_eq!(block_on(keyed((1, String::new()), (0, "mail".into()))), 5);
        assert_eq!(keyed_sync((1, String::new()), (0, "mail".into())), 6);
    });
    assert_eq!(recorded.of("sync"), ok(1));
    assert_eq!(recorded.of("by_reference"), ok(1));
    assert_eq!(recorded.of("on_await"), ok(1));
    assert_eq!(recorded.series("keyed", &["a", "queue"]).into_keys().next().unwrap(), ["1", "mail"]);
    assert_eq!(recorded.series("keyed_sync", &["a", "queue"]).into_keys().next().unwrap(), ["1", "mail"]);
}
