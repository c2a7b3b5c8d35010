//! What the compiling process gives up before it reads the first byte that an attacker wrote.
//!
//! Limits of the system bound memory, CPU time and files. A filter of system calls leaves it what computing needs: memory, the
//! clock, reading standard input, writing the standard outputs. Anything else (opening a file, a socket, another process) is
//! answered with "not permitted". Where a system has no such filter, the limits stand alone and the host says so.

/// Which walls stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Memory, CPU time, files, processes.
    pub(crate) limits: bool,
    /// System calls.
    pub(crate) calls: bool,
}

impl Standing {
    pub(crate) fn bits(self) -> u8 {
        u8::from(self.limits) | u8::from(self.calls) << 1
    }

    pub(crate) fn of(bits: u8) -> Self {
        Self { limits: bits & 1 != 0, calls: bits & 2 != 0 }
    }
}

/// Raises the walls, as many as there are. `file_bytes` is for standard output, if that is a file and not a pipe.
pub(crate) fn raise(cpu_seconds: u64, memory_bytes: u64, file_bytes: u64) -> Standing {
    Standing { limits: system::limit(cpu_seconds, memory_bytes, file_bytes).is_ok(), calls: system::filter().is_ok() }
}

/// One thing that the compiling process tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What it tried.
    pub tried: &'static str,
    /// What the system answered; none if it let it happen.
    pub refusal: Option<String>,
}

/// Raises the walls in this process, and tries what they must refuse.
#[must_use]
pub fn probe_walls() -> Vec<Probe> {
    use std::fs::File;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::process::Command;
    let inherited = File::open("/dev/zero");
    let executable = std::env::current_exe().unwrap_or_default();
    // What it found must be told, perhaps into a file.
    raise(60, 2 << 30, 1 << 16);
    fn probe<T>(tried: &'static str, result: std::io::Result<T>) -> Probe {
        Probe { tried, refusal: result.err().map(|e| e.to_string()) }
    }
    let read = inherited.and_then(|mut file| std::io::Read::read(&mut file, &mut [0; 8]));
    let memory = Vec::<u8>::new().try_reserve_exact(3 << 30).map_err(std::io::Error::other);
    vec![
        probe("open a file", File::open("/etc/passwd")),
        probe("write a file", File::create(std::env::temp_dir().join("tidegate-probe"))),
        probe("read an inherited descriptor", read),
        probe("connect to a server", TcpStream::connect(("127.0.0.1", 9))),
        probe("listen", TcpListener::bind(("127.0.0.1", 0))),
        probe("send a datagram", UdpSocket::bind(("127.0.0.1", 0))),
        probe("start a process", Command::new(executable).arg("--version").spawn()),
        probe("start a thread", std::thread::Builder::new().spawn(|| ())),
        probe("take 3 GiB of memory", memory),
    ]
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    };
    use std::collections::BTreeMap;

    /// Takes away what a compiler does not need.
    pub(super) fn limit(cpu_seconds: u64, memory_bytes: u64, file_bytes: u64) -> rustix::io::Result<()> {
        // Deliveries go first.
        nice(5)?;
        let set = |resource, soft, hard| setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) });
        // The hard limit ends a process that takes no notice of the soft one.
        set(Resource::Cpu, cpu_seconds, cpu_seconds + 1)?;
        for (resource, most) in [
            (Resource::As, memory_bytes),
            (Resource::Fsize, file_bytes),
            (Resource::Core, 0),
            (Resource::Nproc, 0),
            (Resource::Memlock, 0),
        ] {
            set(resource, most, most)?;
        }
        Ok(())
    }

    /// Leaves the system calls that computing needs.
    pub(super) fn filter() -> Result<(), Box<dyn std::error::Error>> {
        let is = |argument: u8, value: u64| {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
                .and_then(|condition| SeccompRule::new(vec![condition]))
        };
        let not_executable = || {
            let executable = libc::PROT_EXEC.unsigned_abs().into();
            SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(executable), 0)
                .and_then(|condition| SeccompRule::new(vec![condition]))
        };
        let mut calls: BTreeMap<i64, Vec<SeccompRule>> = [
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_brk,
            libc::SYS_madvise,
            libc::SYS_futex,
            libc::SYS_getrandom,
            libc::SYS_clock_gettime,
            libc::SYS_sched_yield,
            libc::SYS_rt_sigreturn,
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_sigaltstack,
            libc::SYS_gettid,
            libc::SYS_getpid,
            libc::SYS_close,
            libc::SYS_exit,
            libc::SYS_exit_group,
        ]
        .into_iter()
        .map(|call| (call, Vec::new()))
        .collect();
        calls.insert(libc::SYS_read, vec![is(0, 0)?]);
        calls.insert(libc::SYS_write, vec![is(0, 1)?, is(0, 2)?]);
        calls.insert(libc::SYS_writev, vec![is(0, 1)?, is(0, 2)?]);
        // It makes machine code and runs none.
        calls.insert(libc::SYS_mmap, vec![not_executable()?]);
        calls.insert(libc::SYS_mprotect, vec![not_executable()?]);
        let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        let filter = SeccompFilter::new(calls, refuse, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?;
        let program: BpfProgram = filter.try_into()?;
        seccompiler::apply_filter_all_threads(&program)?;
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn limit(_cpu_seconds: u64, _memory_bytes: u64, _file_bytes: u64) -> Result<(), ()> {
        Err(())
    }

    pub(super) fn filter() -> Result<(), ()> {
        Err(())
    }
}
