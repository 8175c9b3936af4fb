//! An async fn that borrows several things, in every edition's way.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, ok, record};

struct Db<'c> {
    name: &'c str,
}

impl<'c> Db<'c> {
    #[profiled]
    async fn get<'k, T>(&self, key: &'k str, unused: &T) -> (&'c str, &'k str)
    where
        T: ?Sized,
    {
        let _ = unused;
        tokio::task::yield_now().await;
        (self.name, key)
    }
    #[profiled]
    async fn name_mut(&mut self, other: &str) -> Option<&mut &'c str> {
        if other.is_empty() { None } else { Some(&mut self.name) }
    }
}

#[profiled]
async fn early_bound<'a: 'b, 'b>(a: &'a str, b: &'b str) -> &'b str {
    if a.len() > b.len() { a } else { b }
}

#[profiled]
async fn hidden(db: &mut Db<'_>, _other: &u32) -> usize {
    db.name.len()
}

#[profiled]
async fn callback<F>(f: F) -> usize
where
    F: for<'a> Fn(&'a str) -> &'a str,
{
    f("ab").len()
}

fn main() {
    let recorded = record(|| {
        block_on(async {
            let name = String::from("main");
            let mut db = Db { name: &name };
            let kept = { db.get("k", "unused").await };
            assert_eq!(kept, ("main", "k"));
            *db.name_mut("x").await.unwrap() = "other";
            assert_eq!(early_bound("a", "bc").await, "bc");
            assert_eq!(hidden(&mut db, &1).await, 5);
            assert_eq!(callback(|text| &text[1..]).await, 1);
        })
    });
    assert_eq!(recorded.of("Db::get"), ok(1));
    for name in ["early_bound", "hidden", "callback"] {
        assert_eq!(recorded.of(name), ok(1), "{name}");
    }
}
