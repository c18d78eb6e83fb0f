//! A counter for each of a list of names that is complete from the start, and one for all others.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

type Labels = [(&'static str, &'static str); 1];

/// What is not on the list, however many there are.
const OTHER: &str = "other";

#[derive(Debug)]
pub(super) struct Listed {
    family: Family<Labels, Counter>,
    counters: Vec<(&'static str, Counter)>,
    other: Counter,
}

impl Listed {
    pub(super) fn new(label: &'static str, names: impl IntoIterator<Item = &'static str>) -> Self {
        let family = Family::<Labels, Counter>::default();
        let of = |name| family.get_or_create(&[(label, name)]).clone();
        let counters = names.into_iter().map(|name| (name, of(name))).collect();
        let other = of(OTHER);
        Self { counters, other, family }
    }

    pub(super) fn count(&self, name: &str, times: u64) {
        let known = self.counters.iter().find(|(listed, _)| *listed == name);
        known.map_or(&self.other, |(_, counter)| counter).inc_by(times);
    }

    /// For the registry.
    pub(super) fn family(&self) -> Family<Labels, Counter> {
        self.family.clone()
    }
}
