//! `/status`: what the metrics say, as JSON that a page or a script can read without a scraper.

use super::readiness::Readiness;
use crate::failover::events::Event;
use prometheus::Registry;
use prometheus::proto::{Metric, MetricFamily, MetricType};
use serde_json::{Map, Value, json};

/// Everything that is counted, by service; what has no service is under `process`.
///
/// A counter or gauge is `{"labels": {…}, "value": n}`. A histogram is `{"labels": {…},
/// "count": n, "sum": seconds, "buckets": [[bound, cumulative count], …]}`, so that two answers
/// tell the percentiles of the time between them. `events` are as in `/events`.
pub(super) fn status(registry: &Registry, readiness: Readiness, events: &[Event]) -> Value {
    let mut services = Map::new();
    let mut process = Map::new();
    for family in registry.gather() {
        for metric in family.get_metric() {
            let service = metric.get_label().iter().find(|label| label.name() == "service");
            let place = match service {
                Some(service) => services
                    .entry(service.value())
                    .or_insert_with(|| Value::Object(Map::new()))
                    .as_object_mut(),
                None => Some(&mut process),
            };
            let series = place.and_then(|place| {
                let name = family.name();
                let name = name.strip_prefix("millpond_").unwrap_or(name);
                place.entry(name).or_insert_with(|| json!([])).as_array_mut()
            });
            if let Some(series) = series {
                series.push(shown(&family, metric));
            }
        }
    }
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "readiness": readiness.to_string(),
        "services": services,
        "process": process,
        "events": events.iter().map(Event::json).collect::<Vec<_>>(),
    })
}

fn shown(family: &MetricFamily, metric: &Metric) -> Value {
    let labels: Map<String, Value> = metric
        .get_label()
        .iter()
        .filter(|label| label.name() != "service")
        .map(|label| (label.name().to_owned(), label.value().into()))
        .collect();
    match family.get_field_type() {
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            let buckets: Vec<_> = histogram
                .get_bucket()
                .iter()
                .map(|bucket| json!([bucket.upper_bound(), bucket.cumulative_count()]))
                .collect();
            json!({
                "labels": labels,
                "count": histogram.get_sample_count(),
                "sum": histogram.get_sample_sum(),
                "buckets": buckets,
            })
        }
        MetricType::COUNTER => json!({"labels": labels, "value": metric.get_counter().get_value()}),
        _ => json!({"labels": labels, "value": metric.get_gauge().get_value()}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{HistogramOpts, HistogramVec, IntGauge};

    #[test]
    fn series_are_sorted_by_service() {
        let registry = Registry::new();
        let build = IntGauge::new("millpond_build", "help").unwrap();
        build.set(1);
        registry.register(Box::new(build)).unwrap();
        let options = HistogramOpts::new("millpond_wait_seconds", "help").buckets(vec![0.1, 1.0]);
        let waits = HistogramVec::new(options, &["service", "user"]).unwrap();
        waits.with_label_values(&["orders", "app"]).observe(0.5);
        registry.register(Box::new(waits)).unwrap();
        let status = status(&registry, Readiness::Ready, &[]);
        assert_eq!(status["readiness"], "ready");
        assert_eq!(status["process"]["build"][0]["value"], 1.0);
        let expected = json!([{
            "labels": {"user": "app"}, "count": 1, "sum": 0.5, "buckets": [[0.1, 0], [1.0, 1]],
        }]);
        assert_eq!(status["services"]["orders"]["wait_seconds"], expected);
    }
}
