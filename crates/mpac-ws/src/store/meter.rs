//! What logs cost: how long the disk takes, and how much is written.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Of all logs of a data directory together; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    syncs: Histogram,
    bytes: Counter,
    records: Counter,
}

impl Default for Meter {
    fn default() -> Self {
        // From a tenth of a millisecond to three seconds.
        let syncs = Histogram::new(exponential_buckets(0.0001, 2.0, 16));
        Self { syncs, bytes: Counter::default(), records: Counter::default() }
    }
}

impl Meter {
    pub(super) fn synced(&self, took: Duration) {
        self.syncs.observe(took.as_secs_f64());
    }

    pub(super) fn written(&self, records: usize, bytes: usize) {
        self.records.inc_by(records as u64);
        self.bytes.inc_by(bytes as u64);
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let text = "How long it took until a batch of records was on the disk";
        registry.register_with_unit("log_sync", text, Unit::Seconds, self.syncs.clone());
        registry.register_with_unit(
            "log_written",
            "What was written to logs",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register("log_records", "Records written to logs", self.records.clone());
    }
}
