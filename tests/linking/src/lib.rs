//! Functions that nothing calls, for a program that only names the crate.

/// Is registered, though nothing calls it.
#[exporters::profiled]
pub fn never_called() {}

/// A generic function: its site is one, whatever it is called with, even if that is nothing.
#[exporters::profiled]
pub fn never_instantiated<T>(_: T) {}

/// A private type, whose methods are registered all the same.
struct Hidden;

#[exporters::profiled]
impl Hidden {
    #[allow(dead_code)]
    async fn never_named(&self) {}
}
