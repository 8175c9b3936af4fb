use exporters::profiled;

#[profiled]
const LIMIT: u8 = 1;

#[profiled]
static COUNT: u8 = 1;

#[profiled]
use std::fmt;

fn main() {
    let _: (u8, fmt::Result) = (LIMIT + COUNT, Ok(()));
}
