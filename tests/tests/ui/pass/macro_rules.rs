//! Functions that a `macro_rules!` writes.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, mixed, ok, record};

macro_rules! getter {
    ($name:ident, $argument:ident: $ty:ty, $body:expr) => {
        #[profiled]
        fn $name($argument: $ty) -> $ty {
            let n = 1;
            $body + n
        }
    };
}
getter!(plus_one, n: u32, n);

trait Run {
    async fn run(&self, n: u32) -> Result<u32, ()>;
}
macro_rules! implement {
    ($($ty:ident)*) => {$(
        struct $ty { field: u32 }
        impl Run for $ty {
            #[profiled]
            async fn run(&self, n: u32) -> Result<u32, ()> {
                if n == 0 { return Err(()); }
                Ok(self.field + n)
            }
        }
    )*};
}
implement!(A B);

macro_rules! body {
    ($body:block) => {
        #[profiled]
        fn with_block() -> u32 $body
    };
}
body!({ 5 });

macro_rules! outside {
    ($($item:item)*) => { $(#[profiled] $item)* };
}
outside! {
    fn passed_on(mut n: u32, (a, b): (u32, u32)) -> u32 {
        n += a;
        n + b
    }
}

fn main() {
    let recorded = record(|| {
        assert_eq!(plus_one(2), 3);
        assert_eq!(block_on(A { field: 1 }.run(1)), Ok(2));
        assert!(block_on(B { field: 1 }.run(0)).is_err());
        assert_eq!(with_block(), 5);
        assert_eq!(passed_on(1, (2, 3)), 6);
    });
    assert_eq!(recorded.of("plus_one"), ok(1));
    assert_eq!(recorded.of("A::run"), ok(1));
    assert_eq!(recorded.of("B::run"), mixed(0, 1));
    assert_eq!(recorded.of("with_block"), ok(1));
    assert_eq!(recorded.of("passed_on"), ok(1));
}
