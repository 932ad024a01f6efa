//! What a run ran on, and how much of its memory it took: on Linux from /proc, elsewhere unknown.

use serde::Serialize;

/// The machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// operating system
    pub os: &'static str,
    /// instruction set
    pub arch: &'static str,
    /// the processor's name
    pub cpu: Option<String>,
    /// threads that run at the same time
    pub cores: usize,
    /// threads that wanted to run in the last minute, on average: above `cores` timings are noisy
    pub load: Option<f64>,
}

impl Machine {
    /// The one at hand, now.
    pub fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            cpu: named(&read("/proc/cpuinfo"), "model name").map(str::to_owned),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok()),
        }
    }
}

/// The process's memory, MiB.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// the most that was ever in use (`VmHWM`)
    pub peak_mib: f64,
    /// in use now (`VmRSS`)
    pub resident_mib: f64,
}

impl Memory {
    /// Now; `None` where the system does not say.
    pub fn now() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let mib = |name| {
            let value = named(status, name)?.strip_suffix("kB")?.trim();
            value.parse::<f64>().ok().map(|kib| kib / 1024.0)
        };
        Some(Self {
            peak_mib: mib("VmHWM")?,
            resident_mib: mib("VmRSS")?,
        })
    }
}

/// The value of the first line `name: value`.
fn named<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(key, _)| key.trim() == name);
    values.next().map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_where_it_is_told() {
        let status =
            "Name:\trelucent\nVmPeak:\t 9000 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1536 kB\n";
        let memory = Memory::parse(status).unwrap();
        assert_eq!((memory.peak_mib, memory.resident_mib), (2.0, 1.5));
        assert_eq!(Memory::parse("VmHWM:\t 12 pages\nVmRSS: 3 kB"), None);
        assert_eq!(Memory::parse(""), None);
        assert!(Machine::here().cores >= 1);
    }
}
