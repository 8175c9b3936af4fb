//! Which trace to look at for a duration: of each series the latest span that is exported, one for each octave of durations.

use crate::{
    model::{Exemplar, Span},
    record::{keyed::Keyed, sampler, site::Site},
};
use std::{collections::HashMap, mem, ptr, sync::Arc};

/// The exemplars of one series.
#[derive(Debug, Default)]
pub(crate) struct Exemplars(Vec<Latest>);

/// The latest of an octave.
#[derive(Debug)]
struct Latest {
    octave: u64,
    /// Whether it is of the interval that is running.
    fresh: bool,
    exemplar: Exemplar,
}

impl Exemplars {
    fn add(&mut self, exemplar: Exemplar) {
        // The exponent of a number that is not negative.
        let octave = exemplar.value.to_bits() >> 52;
        let new = Latest { octave, fresh: true, exemplar };
        match self.0.iter_mut().find(|latest| latest.octave == octave) {
            Some(latest) if latest.exemplar.time <= new.exemplar.time => *latest = new,
            Some(_) => {}
            None => self.0.push(new),
        }
    }

    /// Those of the interval that ends, which are not told as such again.
    pub(crate) fn take_fresh(&mut self) -> Vec<Exemplar> {
        let fresh = |latest: &mut Latest| mem::take(&mut latest.fresh).then(|| latest.exemplar.clone());
        self.0.iter_mut().filter_map(fresh).collect()
    }

    /// The latest ones, whenever they were.
    pub(crate) fn all(&self) -> Vec<Exemplar> {
        self.0.iter().map(|latest| latest.exemplar.clone()).collect()
    }
}

/// What was found since the series were read, by the address of the set of attributes, or of the function if it has none.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Which traces are exported, as a sampler's bound has it.
    bound: u64,
    by_series: HashMap<*const (), (Option<Arc<Keyed>>, Exemplars)>,
}

impl Found {
    /// Has those traces told that are exported.
    pub(crate) fn set_bound(&mut self, bound: u64) {
        self.bound = bound;
    }

    /// Notes a span that took so many seconds, where each call of its function is timed.
    pub(super) fn add(&mut self, site: &'static Site, keyed: Option<&Arc<Keyed>>, span: &Span, seconds: f64) {
        if !sampler::is_below(self.bound, span) || site.state().one_in() > 1 {
            return;
        }
        let key = keyed.map_or(ptr::from_ref(site).cast(), |keyed| Arc::as_ptr(keyed).cast());
        let (trace_id, span_id) = (span.context.trace_id, span.context.span_id);
        let exemplar = Exemplar { value: seconds, time: span.end, trace_id, span_id };
        let found = self.by_series.entry(key).or_insert_with(|| (keyed.cloned(), Exemplars::default()));
        found.1.add(exemplar);
    }

    /// Gives a series its own.
    pub(crate) fn give(&mut self, key: *const (), to: &mut Exemplars) {
        if let Some((_, found)) = self.by_series.remove(&key) {
            found.0.into_iter().for_each(|latest| to.add(latest.exemplar));
        }
    }

    /// Nobody asked for the others.
    pub(crate) fn clear(&mut self) {
        self.by_series.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_latest_of_an_octave_is_told_once_as_new() {
        let exemplar = |value: f64, second: u64| Exemplar {
            value,
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            trace_id: [1; 16],
            span_id: [1; 8],
        };
        let mut exemplars = Exemplars::default();
        for (value, second) in [(0.5, 1), (0.75, 3), (0.6, 2), (1.0, 1), (0.0, 1)] {
            exemplars.add(exemplar(value, second));
        }
        let expected = [exemplar(0.75, 3), exemplar(1.0, 1), exemplar(0.0, 1)];
        assert_eq!(exemplars.take_fresh(), expected);
        assert_eq!(exemplars.take_fresh(), []);
        assert_eq!(exemplars.all(), expected);
        exemplars.add(exemplar(1.5, 4));
        assert_eq!(exemplars.take_fresh(), [exemplar(1.5, 4)]);
    }
}
