//! Five hundred profiled functions.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

/// How many there are.
pub(crate) const COUNT: usize = 500;

/// What each of them does: nothing, for so long.
#[inline(never)]
pub(crate) fn spin(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        spin_loop();
    }
}

macro_rules! functions {
    ($($name:ident)*) => {
        $(
            #[exporters::profiled]
            #[inline(never)]
            fn $name(duration: std::time::Duration) {
                super::spin(duration);
            }
        )*
        pub(super) const ALL: [fn(std::time::Duration); 10] = [$($name),*];
    };
}

macro_rules! modules {
    ($($module:ident)*) => {
        $(
            mod $module {
                functions!(a b c d e f g h i j);
            }
        )*
        /// All of them.
        pub(crate) static ALL: [[fn(Duration); 10]; COUNT / 10] = [$($module::ALL),*];
    };
}

modules! {
    m00 m01 m02 m03 m04 m05 m06 m07 m08 m09 m10 m11 m12 m13 m14 m15 m16 m17 m18
    m19 m20 m21 m22 m23 m24 m25 m26 m27 m28 m29 m30 m31 m32 m33 m34 m35 m36 m37
    m38 m39 m40 m41 m42 m43 m44 m45 m46 m47 m48 m49
}
