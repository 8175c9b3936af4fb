//! Default bodies, implementations, generic and dyn traits.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{mixed, ok, record};

trait Shape {
    fn area(&self) -> f64;
    #[profiled]
    fn double(&self) -> f64 {
        self.area() * 2.0
    }
    #[profiled]
    fn scaled<T: Into<f64>>(&mut self, by: T) -> Result<f64, ()>
    where
        Self: Sized,
    {
        let by = by.into();
        if by < 0.0 { Err(()) } else { Ok(self.area() * by) }
    }
    fn of(side: f64) -> Self
    where
        Self: Sized;
}

struct Square(f64);
impl Shape for Square {
    #[profiled]
    fn area(&self) -> f64 {
        self.0 * self.0
    }
    #[profiled]
    fn of(side: f64) -> Self {
        Self(side)
    }
}
impl Iterator for Square {
    type Item = f64;
    #[profiled]
    fn next(&mut self) -> Option<Self::Item> {
        self.0 -= 1.0;
        (self.0 > 0.0).then_some(self.0)
    }
}

fn main() {
    let recorded = record(|| {
        let shape: &dyn Shape = &Square(2.0);
        assert_eq!(shape.double(), 8.0);
        assert_eq!(Square::of(1.0).scaled(3u8), Ok(3.0));
        assert_eq!(Square(1.0).scaled(-3i8), Err(()));
        assert_eq!(Square(3.0).count(), 2);
    });
    assert_eq!(recorded.of("Square::area"), ok(2));
    assert_eq!(recorded.of("Square::double"), ok(1));
    assert_eq!(recorded.of("Square::scaled"), mixed(1, 1));
    assert_eq!(recorded.of("Square::next"), ok(3));
}
