//! Every visibility and position: in functions, modules, and as values.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{ok, record};

mod a {
    use exporters::profiled;
    pub mod b {
        use exporters::profiled;
        #[profiled]
        pub(in crate::a) fn restricted() -> u8 {
            1
        }
    }
    #[profiled]
    pub(super) fn upper() -> u8 {
        b::restricted() + crate_wide()
    }
    #[profiled]
    pub(crate) fn crate_wide() -> u8 {
        1
    }
}

#[profiled]
pub fn value(n: u8) -> u8 {
    n
}

fn main() {
    let recorded = record(|| {
        assert_eq!(a::upper(), 2);
        let pointer: fn(u8) -> u8 = value;
        assert_eq!([1, 2].map(value).map(pointer), [1, 2]);
    });
    for name in ["upper", "restricted", "crate_wide"] {
        assert_eq!(recorded.of(name), ok(1), "{name}");
    }
    assert_eq!(recorded.of("value"), ok(4));
}
