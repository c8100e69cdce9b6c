//! How many heaps glibc keeps: memory that one thread gives back stays in the heap that it was taken from.
//! Must not know what is done with it.
//! By itself glibc makes eight for each processor; under 300 cold versions at once they held 20 MB that nobody used.

/// With four, no thread waited for another one's allocation to an extent that any bench saw.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: usize = 4;

/// To be called before other threads are started.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn settle() {
    // glibc's own setting has the last word.
    if std::env::var_os("MALLOC_ARENA_MAX").is_some() {
        return;
    }
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let heaps = processors.max(HEAPS).try_into().unwrap_or(libc::c_int::MAX);
    // SAFETY: mallopt takes any number, and no other thread is there yet. Where it is refused, nothing changes.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, heaps) };
}

/// Other systems keep house by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn settle() {}
