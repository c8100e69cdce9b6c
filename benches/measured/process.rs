//! What the system says of a process: processor time, memory, children. Linux tells; elsewhere the figures are left out.

use std::time::Duration;

/// The processor time that a process has taken so far; `None` where the system does not tell.
pub fn processor_time(process: u32) -> Option<Duration> {
    /// Linux counts in hundredths of a second whatever its own clock does.
    const TICK: Duration = Duration::from_millis(10);
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let after_name = text.rsplit_once(") ")?.1;
    let mut fields = after_name.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * (ticks()? + ticks()?))
}

/// The processor time of several processes together.
pub fn processor_times(processes: &[u32]) -> Option<Duration> {
    processes.iter().map(|process| processor_time(*process)).sum()
}

/// Memory of a process in bytes: now, and the most it ever had since it started or `forget_peak`.
pub fn memory(process: u32) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

/// From here on the most memory is counted anew.
pub fn forget_peak(process: u32) {
    // Not everybody may; then the peak is the one since the start, which is no smaller.
    let _ = std::fs::write(format!("/proc/{process}/clear_refs"), "5");
}

/// The processes that a process started and that still run.
pub fn children(process: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .collect()
}
