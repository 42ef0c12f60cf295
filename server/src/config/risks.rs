//! What is allowed in a configuration and may still hurt.
//!
//! For `sheaf config check`. Never refuses anything: what must not start is refused by the part
//! that would suffer from it.

use std::path::Path;

use super::Config;
use crate::relay::address::Address;

/// Where systems keep what may vanish.
const FLEETING: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run"];
/// Descriptors besides connections: files of the store, segments of the journal, listeners.
pub const DESCRIPTORS_KEPT: u64 = 256;
/// The unit in `docs/operate/` gives a stop this long before it kills.
const STOP_S: u64 = 30;

/// One thing to think about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Risk {
    /// The key it is about.
    pub key: &'static str,
    /// What may happen, and what to do about it.
    pub what: String,
}

/// The machine, as far as a configuration can be too big for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// Physical memory in bytes, where it is known.
    pub memory_bytes: Option<u64>,
    /// The hard limit of file descriptors of a process, where it is known.
    pub descriptors_max: Option<u64>,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn own() -> Machine {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = total.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let limit = rlimit::Resource::NOFILE.get().ok();
        Machine {
            memory_bytes: kib.map(|kib| kib << 10),
            descriptors_max: limit.map(|(_, hard)| hard),
        }
    }
}

/// All risks of a configuration on a machine, the worst first.
#[must_use]
pub fn risks(config: &Config, machine: Machine) -> Vec<Risk> {
    let mut risks = Vec::new();
    let mut warn = |key, what: String| risks.push(Risk { key, what });
    let elsewhere = config.addresses().into_iter().find(Address::is_elsewhere);
    if let (true, Some(address)) = (config.allow_anonymous, elsewhere) {
        warn("allow_anonymous", format!("everyone who can reach {address} may read and write"));
    }
    // Where proxies are named, one of them may be what others reach.
    let is_plain = |it: &Address| it.tls == Some(false) || config.tls.is_none();
    let plain = config.addresses().into_iter().find(|it| it.is_elsewhere() && is_plain(it));
    if let (Some(address), true) = (plain, config.trusted_proxies.is_empty()) {
        let what = format!(
            "tokens and texts go to {address} as everybody on the way can read them; name a \
             certificate, or listen on loopback behind a proxy that has one"
        );
        warn("tls", what);
    }
    if let Ok(dir) = config.data_dir()
        && FLEETING.iter().any(|fleeting| dir.starts_with(Path::new(fleeting)))
    {
        let dir = dir.display();
        warn("data", format!("{dir} may be emptied by the system; use a directory that stays"));
    }
    let limits = &config.limits;
    let held = limits.documents_bytes_max.saturating_add(limits.pending_bytes_max as u64);
    if let Some(memory) = machine.memory_bytes.filter(|memory| held > *memory) {
        let what = format!(
            "documents and pending messages may take {} MiB together and the machine has {}; the \
             kernel would end the server: lower limits.documents_bytes_max or \
             limits.pending_bytes_max",
            held >> 20,
            memory >> 20
        );
        warn("limits.documents_bytes_max", what);
    }
    let wanted = limits.connections_max as u64 + DESCRIPTORS_KEPT;
    if let Some(hard) = machine.descriptors_max.filter(|hard| wanted > *hard) {
        let what = format!(
            "needs {wanted} file descriptors and a process gets {hard} here; raise the hard limit \
             (LimitNOFILE in systemd, ulimit -Hn) or lower it"
        );
        warn("limits.connections_max", what);
    }
    if limits.stop_timeout_s >= STOP_S {
        let what = format!("a service manager that kills after {STOP_S} s would cut a stop short");
        warn("limits.stop_timeout_s", what);
    }
    if config.log.level.contains("trace") || config.log.level.contains("debug") {
        warn("log.level", "debug and trace slow a busy server down and fill disks".to_owned());
    }
    risks
}

#[cfg(test)]
mod tests;
