//! An annotated module: functions, impls, traits and modules within.

#[path = "../support.rs"]
mod support;

use support::{block_on, ok, record};

#[exporters::profiled]
mod shop {
    #![deny(unused)]
    use exporters::profiled;

    macro_rules! nothing {
        () => {
            0
        };
    }

    pub struct Cart(pub u32);

    impl Cart {
        pub fn total(&self) -> u32 {
            self.0
        }
        pub const fn zero() -> Self {
            Self(0)
        }
    }

    impl Default for Cart {
        fn default() -> Self {
            Self::zero()
        }
    }

    pub trait Priced {
        fn price(&self) -> u32;
        fn doubled(&self) -> u32 {
            self.price() * 2
        }
    }
    impl Priced for Cart {
        fn price(&self) -> u32 {
            self.total()
        }
    }

    pub async fn checkout(cart: Cart) -> u32 {
        cart.doubled()
    }

    #[profiled(skip)]
    pub fn left_out() {}

    #[profiled(skip)]
    impl Drop for Cart {
        fn drop(&mut self) {}
    }

    pub mod stock {
        pub fn count() -> u32 {
            super::left_out();
            nothing!()
        }
    }
}

fn main() {
    let recorded = record(|| {
        assert_eq!(block_on(shop::checkout(shop::Cart(2))), 4);
        assert_eq!(shop::stock::count(), 0);
        drop(shop::Cart::default());
    });
    assert_eq!(recorded.names(), ["Cart::default", "Cart::price", "Cart::total", "Priced::doubled", "checkout", "count"]);
    assert_eq!(recorded.of("Cart::total"), ok(1));
}
