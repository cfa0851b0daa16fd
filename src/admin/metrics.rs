//! What is known of the process itself, whatever it does.

use prometheus::process_collector::ProcessCollector;
use prometheus::{IntGauge, Opts, Registry};

/// Adds processor time, memory, open files and start of this process, and which build it is.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let build = Opts::new("millpond_build_info", "Always 1; which build of Millpond this is.")
        .const_label("version", env!("CARGO_PKG_VERSION"))
        .const_label("arch", std::env::consts::ARCH)
        .const_label("os", std::env::consts::OS);
    let build = IntGauge::with_opts(build)?;
    build.set(1);
    registry.register(Box::new(build))
}
