//! What every exporter made by `#[derive(Exporter)]` does: map, encode, transmit, and read refused secrets again.

use super::{Capability, Receipt, Transmit};
use crate::{
    Batch, ErrorKind, Mapping, PayloadFormat, Result, Secret, Signal, encode::Encoded, foreign::tell,
    mapping::Mapper,
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// What the macro knows of an exporter.
#[derive(Debug)]
pub struct Derived {
    format: PayloadFormat,
    mapping: &'static Mapping,
    mapper: OnceLock<Mapper>,
}

impl Derived {
    /// Writes what `mapping` selects in `format`.
    pub const fn new(format: PayloadFormat, mapping: &'static Mapping) -> Self {
        Self { format, mapping, mapper: OnceLock::new() }
    }

    /// `base`, with the mapping, if there is one.
    pub fn capability(&self, base: Capability) -> Capability {
        Capability { mapping: Some(self.mapping).filter(|mapping| !mapping.is_empty()), ..base }
    }

    /// Sends a batch by `exporter`. Where its credentials are refused, and `refresh` finds new ones, it tries once more.
    ///
    /// # Errors
    /// Those of encoding, and of [`Transmit::transmit`].
    pub async fn export<E: Transmit>(
        &self,
        exporter: &E,
        max_bytes: Option<usize>,
        attributes: &[(&str, &str)],
        refresh: impl Fn() -> bool,
        batch: Batch,
    ) -> Result<Receipt> {
        let given = batch.len();
        let batch = match self.mapped(&batch) {
            Some(mapped) => mapped,
            None => batch,
        };
        if batch.is_empty() {
            return Ok(Receipt::accepted(given));
        }
        let Encoded { payload, skipped } = self.format.encode(&batch, attributes, max_bytes)?;
        if payload.items == 0 {
            return Ok(Receipt::default().with_rejected(given));
        }
        let first = exporter.transmit(payload.clone()).await;
        let receipt = match first {
            Err(error) if error.kind() == ErrorKind::Unauthorized && refresh() => {
                exporter.transmit(payload).await
            }
            answer => answer,
        }?;
        let rejected = receipt.rejected + skipped;
        // Where the mapping was done here, one item of ours stands for many that were given.
        let rejected = (rejected * given).div_ceil(batch.len()).min(given);
        Ok(Receipt { accepted: given - rejected, rejected, ..receipt })
    }

    /// The batch as it is sent; `None` where it comes from a leg, which has mapped it already, or there is nothing to map.
    fn mapped(&self, batch: &Batch) -> Option<Batch> {
        let metrics = batch.metrics().filter(|_| !self.mapping.is_empty())?;
        if metrics.metrics.iter().all(|metric| metric.descriptor.exact_name) {
            return None;
        }
        let mapped = self.mapper.get_or_init(|| Mapper::new(self.mapping)).apply(metrics).metrics;
        // Statistics are of the whole: they go with its first part.
        let range = if batch.range().start == 0 { 0..mapped.len() } else { 0..0 };
        Some(Batch::new(batch.id().clone(), Signal::Metrics(Arc::new(mapped.slice(range)))))
    }
}

/// A field of a derived exporter, by its type: method look-up takes the reference's own implementation first.
#[derive(Debug)]
pub struct Field<'a, T: ?Sized>(pub &'a T);

/// Fields that can be read again.
pub trait Refreshable {
    /// Whether it is another one now.
    fn __exporters_refresh(&self) -> bool;
}

impl Refreshable for Field<'_, Secret> {
    fn __exporters_refresh(&self) -> bool {
        refresh(self.0)
    }
}

impl Refreshable for Field<'_, Option<Secret>> {
    fn __exporters_refresh(&self) -> bool {
        self.0.as_ref().is_some_and(refresh)
    }
}

/// Fields that never change.
pub trait Fixed {
    /// Never.
    fn __exporters_refresh(&self) -> bool;
}

impl<T: ?Sized> Fixed for &Field<'_, T> {
    fn __exporters_refresh(&self) -> bool {
        false
    }
}

/// What a field says as an attribute.
pub fn text(field: &impl fmt::Display) -> String {
    field.to_string()
}

fn refresh(secret: &Secret) -> bool {
    secret.refresh().unwrap_or_else(|error| {
        tell!(%error, "a refused secret could not be read again");
        false
    })
}
