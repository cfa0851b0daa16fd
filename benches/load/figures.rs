//! Numbers out of a run: latencies, and what a process has cost.

use std::fs;
use std::time::Duration;

/// Latencies of many operations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    sorted: Vec<Duration>,
}

impl Latencies {
    /// From measurements in any order.
    pub(crate) fn new(mut measured: Vec<Duration>) -> Self {
        measured.sort_unstable();
        Self { sorted: measured }
    }

    /// The latency that this percentage of operations did not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Option<Duration> {
        let last = self.sorted.len().checked_sub(1)?;
        self.sorted.get(last * percent / 100).copied()
    }

    /// The slowest.
    pub(crate) fn longest(&self) -> Option<Duration> {
        self.sorted.last().copied()
    }
}

/// The middle one of some numbers; of an even count the upper of the two in the middle.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// CPU time that a process has used so far, in user and in kernel mode, all threads together.
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The fields after the command's name, which is in brackets: utime and stime are the 14th and
    // 15th of all, in ticks. A tick is 10 ms on every Linux that this runs on.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    Duration::from_millis(ticks * 10)
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    kibibytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}
