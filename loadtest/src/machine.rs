//! What the figures were measured on, for reports: figures of two machines are not to be compared.

use std::fmt;
use std::fs;
use std::process::Command;

/// This machine, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    /// `2026-11-22`, in UTC.
    pub(crate) date: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
}

impl Machine {
    /// Looks around. What cannot be found is left empty.
    pub(crate) fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = model.map_or("", |line| line.trim_start_matches([' ', '\t', ':']));
        Self {
            date: said("date", &["-u", "+%Y-%m-%d"]),
            cpu: cpu.split_whitespace().collect::<Vec<_>>().join(" "),
            // Not what this process may use: the rig keeps to one core.
            cores: info.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: said("uname", &["-sr"]),
        }
    }
}

impl Machine {
    /// Without the date.
    pub(crate) fn hardware(&self) -> String {
        let Self { cpu, cores, kernel, .. } = self;
        let facts = [cpu.clone(), format!("{cores} cores"), kernel.clone()];
        facts.into_iter().filter(|fact| !fact.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, {}", self.date, self.hardware())
    }
}

/// A program's one line, or nothing.
pub(crate) fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().trim().to_owned()
}
