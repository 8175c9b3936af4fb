//! Our own functions.

use benches::Result;

use crate::floors::Run;

fn missing() -> Result<Run> {
    Err("not there yet".into())
}
pub(crate) fn sync() -> Result<Run> {
    missing()
}
pub(crate) fn asynchronous(_: u32) -> Result<Run> {
    missing()
}
pub(crate) fn one_in_16() -> Result<Run> {
    missing()
}
pub(crate) fn not_initialised() -> Result<Run> {
    missing()
}
pub(crate) fn nested() -> Result<Run> {
    missing()
}
pub(crate) fn one_attribute() -> Result<Run> {
    missing()
}
