//! `profile!` around blocks.

#[path = "../support.rs"]
mod support;

use exporters::profile;
use support::{Calls, block_on, mixed, ok, record};

fn half(n: u32) -> Result<u32, String> {
    let value = profile!("check", {
        if n % 2 == 1 {
            return Err("odd".to_owned());
        }
        n / 2
    });
    Ok(value)
}

fn main() {
    let recorded = record(|| {
        let (list, list_is_long) = (vec![1u32, 2, 3], false);
        let total: u32 = profile!("sum", { list.iter().sum() });
        assert_eq!(total, 6);
        assert!(half(1).is_err() && half(2) == Ok(1));

        let parsed = profile!("parse", { "x".parse::<u32>() });
        assert!(parsed.is_err());
        let _ = profile!("judged", attributes(size = list.len()), error_if = |n| *n > 3, { total });
        profile!("unsafe", unsafe { std::hint::assert_unchecked(true) });
        for n in 0..3 {
            profile!("loop", {
                if n == 1 {
                    continue;
                }
            });
        }

        let mut counter = 0;
        let sum = block_on(profile!("later", async {
            counter += 1;
            tokio::task::yield_now().await;
            Ok::<_, String>(counter)
        }));
        assert_eq!(sum, Ok(1));
        let owned = profile!("moved", time_one_in = 2, async move { list.len() });
        assert_eq!(block_on(owned), 3);
        drop(profile!("unpolled", async {}));
        support::poll_once(profile!("dropped", async { std::future::pending::<()>().await }));
        support::panics(|| profile!("bursting", { assert!(list_is_long, "on purpose") }));
    });
    assert_eq!(recorded.of("sum"), ok(1));
    assert_eq!(recorded.of("check"), ok(2));
    assert_eq!(recorded.of("parse"), mixed(0, 1));
    assert_eq!(recorded.of("judged"), mixed(0, 1));
    assert_eq!(recorded.series("judged", &["size"]).into_keys().next().unwrap(), ["3"]);
    assert_eq!(recorded.of("unsafe"), ok(1));
    assert_eq!(recorded.of("loop"), ok(3));
    assert_eq!(recorded.of("later"), ok(1));
    assert_eq!(recorded.of("moved"), ok(1));
    assert_eq!(recorded.of("unpolled"), ok(0));
    assert_eq!(recorded.of("dropped"), Calls { cancelled: 1, ..Calls::default() });
    assert_eq!(recorded.of("bursting"), Calls { panic: 1, ..Calls::default() });
}
