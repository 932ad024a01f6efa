//! How the C library gives memory back.

/// What glibc is told in its environment, the only place that takes no unsafe code.
///
/// Blocks from its threshold on are mappings of their own, which go back to the system as they are freed. Left alone, glibc
/// raises the threshold each time that it frees a larger one, up to 32 MiB; from then on what is prepared for each sensor,
/// megabytes that come and go with it, lies in heaps among small blocks that stay, and so does a prior read anew: half of
/// what the heaps held was holes. Of what fits below 512 KiB each frame takes some and gives it back, in heaps that keep
/// 4 MiB for the next.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SETTINGS: [(&str, &str); 2] = [
    ("MALLOC_MMAP_THRESHOLD_", "524288"),
    ("MALLOC_TRIM_THRESHOLD_", "4194304"),
];

/// Has large blocks given back to the system as soon as they are free: where the environment says nothing of that, starts
/// this process's program anew with one that does. Where that cannot be, all goes on and takes more memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn give_back() {
    use std::env;
    use std::os::unix::process::CommandExt;
    let set = |key| env::var_os(key).is_some();
    if set("GLIBC_TUNABLES") || SETTINGS.iter().any(|(key, _)| set(key)) {
        return; // as whoever runs it wants it, or anew already
    }
    let mut arguments = env::args_os();
    let Some((name, program)) = arguments.next().zip(env::current_exe().ok()) else {
        return;
    };
    let mut anew = std::process::Command::new(program);
    let error = anew.arg0(name).args(arguments).envs(SETTINGS).exec();
    tracing::warn!(%error, "memory that is free may not be given back to the system");
}

/// Other C libraries are taken as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn give_back() {}
