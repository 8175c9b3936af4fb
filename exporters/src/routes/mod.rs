//! Exporters made of several: each batch goes to all of them, to one after the other, or to those whose condition applies.

mod conditional;
mod expression;
mod fan;
mod finished;
mod multi;
pub(crate) mod settings;
mod share;

pub use conditional::{ConditionalBuilder, ConditionalConfig, ConditionalExporter, RouteMatch};
pub use expression::Expression;
pub use multi::{ExportStrategy, FailurePolicy, MultiConfig, MultiExporter};
