//! The start of a guest process: its memory, its stack, its registers.
//!
//! The stack at the start follows the System V ABI and `fs/binfmt_elf.c` of Linux: `argc`, `argv`, `envp`, the
//! auxiliary vector, and above them what these point to.

use super::abi::Encoder;
use super::map::{Area, HIGHEST, Source};
use super::mem::Space;
use super::signal::Signals;
use super::sysroot::{Last, Sysroot};
use super::{Config, Kernel, Random, Shared, host, own, procfs, schedule};
use crate::cpu::CpuState;
use crate::elf::{Error, Image, Loaded, Problem};
use crate::isa::{self, Isa};
use crate::machine::lock;
use crate::mem::{GuestMemory, PAGE, perm};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};

/// Where position-independent programs go.
const PROGRAM_BASE: u64 = 0x55_0000_0000;
/// What the stack has at most and at least, whatever `RLIMIT_STACK` says; and what it has if there is no limit.
const STACK_MAX: u64 = 64 << 20;
const STACK_MIN: u64 = 1 << 20;
const STACK_DEFAULT: u64 = 8 << 20;
/// Free space between the stack and what `mmap` places.
const STACK_GUARD: u64 = 1 << 20;

const AT_PHDR: u64 = 3;
const AT_PHENT: u64 = 4;
const AT_PHNUM: u64 = 5;
const AT_PAGESZ: u64 = 6;
const AT_BASE: u64 = 7;
const AT_FLAGS: u64 = 8;
const AT_ENTRY: u64 = 9;
const AT_UID: u64 = 11;
const AT_EUID: u64 = 12;
const AT_GID: u64 = 13;
const AT_EGID: u64 = 14;
const AT_PLATFORM: u64 = 15;
const AT_HWCAP: u64 = 16;
const AT_CLKTCK: u64 = 17;
const AT_SECURE: u64 = 23;
const AT_RANDOM: u64 = 25;
const AT_HWCAP2: u64 = 26;
const AT_EXECFN: u64 = 31;
const AT_MINSIGSTKSZ: u64 = 51;

/// A guest process that is ready to run.
pub struct Process {
    /// Its environment.
    pub kernel: Kernel,
    /// Its memory.
    pub memory: GuestMemory,
    /// Its CPU, at the first instruction.
    pub cpu: CpuState,
    /// Its architecture.
    pub isa: &'static dyn Isa,
    /// The program, and its interpreter if it has one: for [`crate::symbols`].
    pub images: Vec<Loaded>,
}

/// Loads a program and makes a process of it.
///
/// # Errors
/// What is wrong with the program or its interpreter, or the host's error when memory cannot be had.
pub fn start(config: Config) -> Result<Process, Error> {
    let path = config.program.clone();
    let program = Image::open(&path)?;
    let machine = program.machine();
    let unsupported = || Error::new(&path, Problem::WrongArchitecture(machine));
    let isa = isa::by_machine(machine).ok_or_else(unsupported)?;
    let abi = isa::linux_of(isa).ok_or_else(unsupported)?;
    let interpreter = match program.interpreter() {
        Some(wanted) => Some(open_interpreter(&path, wanted, config.sysroot.as_deref(), machine)?),
        None => None,
    };
    let memory_error = |error| Error::new(&path, Problem::Memory(error));
    let memory = GuestMemory::new(abi.address_mask()).map_err(memory_error)?;
    if let Some(schedule) = config.schedule {
        schedule.enter().map_err(memory_error)?;
    }
    let mut kernel = Kernel::new(config, abi, machine, &path);

    let bias = if program.is_position_independent() { PROGRAM_BASE.saturating_sub(program.range().0) } else { 0 };
    let loaded = program.load(&memory, bias)?;
    kernel.enter(&loaded);
    let heap = loaded.end();
    lock(&kernel.space).heap = (heap, heap);
    let stack_size = stack_size();
    let stack_top = HIGHEST - PAGE;
    let mut space = lock(&kernel.space);
    space.mmap_top = HIGHEST - stack_size - STACK_GUARD;
    // A page above it that the guest has no need of: generated code takes an access for one within a page at once if the
    // next page has the same permissions.
    space
        .map_anonymous(&memory, stack_top - stack_size, stack_size + PAGE, perm::READ | perm::WRITE, false, "[stack]")
        .map_err(|_| memory_error(std::io::ErrorKind::OutOfMemory.into()))?;
    drop(space);
    let mut base = 0;
    let mut entry = loaded.entry;
    let mut images = vec![loaded];
    if let Some(image) = interpreter {
        let (low, high) = image.range();
        let space = lock(&kernel.space);
        let at = space.map.find_free(high - low, space.mmap_top).unwrap_or(PROGRAM_BASE);
        drop(space);
        base = if image.is_position_independent() { at - low } else { 0 };
        let loaded = image.load(&memory, base)?;
        kernel.enter(&loaded);
        entry = loaded.entry;
        images.push(loaded);
    }
    kernel.map_trampoline(&memory).map_err(memory_error)?;

    let sp = kernel
        .build_stack(&memory, &images[0], base, stack_top, stack_size)
        .map_err(|problem| Error::new(&path, problem))?;
    let mut cpu = CpuState { pc: entry, ..CpuState::default() };
    isa.reset(&mut cpu);
    if kernel.signals.uses_host() {
        host::begin_thread(cpu.poll);
        host::set_window(memory.host_base());
        own::proc();
        procfs::set_command_name(&kernel);
    }
    abi.set_stack_pointer(&mut cpu, sp);
    Ok(Process { kernel, memory, cpu, isa, images })
}

fn open_interpreter(path: &Path, wanted: &Path, sysroot: Option<&Path>, machine: u16) -> Result<Image, Error> {
    let inside = sysroot.and_then(|root| Sysroot::new(root).find(wanted, Last::Follow));
    let missing = || Error::new(path, Problem::NoInterpreter(wanted.to_owned(), sysroot.map(Path::to_owned)));
    let found = [inside, Some(wanted.to_owned())].into_iter().flatten().find(|file| file.exists());
    let image = Image::open(&found.ok_or_else(missing)?)?;
    if image.machine() != machine {
        return Err(missing());
    }
    Ok(image)
}

/// The stack's size after `RLIMIT_STACK`.
fn stack_size() -> u64 {
    let mut limit = [0; 16];
    let soft = match host::prlimit64(0, 3, None, Some(&mut limit)) {
        Ok(_) => super::abi::u64_at(&limit, 0),
        Err(_) => STACK_DEFAULT,
    };
    let size = if soft == u64::MAX { STACK_DEFAULT } else { soft.clamp(STACK_MIN, STACK_MAX) };
    size & !(PAGE - 1)
}

impl Kernel {
    fn new(config: Config, abi: &'static dyn super::LinuxAbi, machine: u16, path: &Path) -> Self {
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let shared = Shared {
            abi,
            machine,
            space: Mutex::new(Space { mmap_top: HIGHEST, ..Space::default() }),
            program: CString::new(absolute.as_os_str().as_bytes()).unwrap_or_default(),
            argv: config.argv,
            envp: config.envp,
            auxv: Vec::new(),
            stack_start: 0,
            sysroot: config.sysroot.as_deref().map(Sysroot::new),
            exec: config.exec,
            before_exec: OnceLock::new(),
            random: config.seed.map(|seed| Mutex::new(Random(seed))),
            limits: Mutex::default(),
            notes: Mutex::default(),
            started: std::time::Instant::now(),
            is_child: AtomicBool::new(false),
            threads: AtomicUsize::new(1),
            pid: AtomicU64::new(schedule::current().map_or_else(|| host::getpid().unwrap_or(0), |turn| turn.process())),
        };
        Kernel::of(Arc::new(shared), Signals::new(config.host_signals, config.ignores_sigpipe))
    }

    /// The kernel of a thread.
    pub(super) fn of(shared: Arc<Shared>, signals: Signals) -> Kernel {
        Kernel {
            shared,
            signals,
            after: None,
            clear_child_tid: 0,
            robust_list: 0,
            vector_control: super::process::VECTORS_ON,
            stack_pointer: 0,
            just_forked: false,
            announced: None,
            reports_writes: false,
            written: None,
            tid: schedule::current().map_or_else(|| host::gettid().unwrap_or(0), |turn| turn.thread()),
            code_mapped: false,
            new_thread: None,
            new_slot: None,
            announce: [None; 2],
        }
    }

    /// Enters the segments of an image.
    fn enter(&mut self, loaded: &Loaded) {
        for segment in &loaded.segments {
            let source = match segment.offset {
                Some(offset) => Source::File { path: loaded.path.display().to_string(), offset },
                None => Source::Anonymous(""),
            };
            lock(&self.space)
                .map
                .insert(segment.start, Area { end: segment.end, prot: segment.prot, shared: false, source });
        }
    }

    /// Maps the code that signal handlers return to.
    fn map_trampoline(&mut self, memory: &GuestMemory) -> std::io::Result<()> {
        let out_of_memory = || std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        let mut space = lock(&self.shared.space);
        let at = space.map.find_free(PAGE, space.mmap_top).ok_or_else(out_of_memory)?;
        space.map_anonymous(memory, at, PAGE, perm::READ | perm::EXEC, false, "[vdso]").map_err(|_| out_of_memory())?;
        memory.write_forced(at, self.abi.sigreturn_code()).map_err(|_| out_of_memory())?;
        self.signals.trampoline = at;
        Ok(())
    }

    /// Writes the stack that a program starts with and returns the stack pointer.
    fn build_stack(
        &mut self,
        memory: &GuestMemory,
        program: &Loaded,
        base: u64,
        top: u64,
        size: u64,
    ) -> Result<u64, Problem> {
        let strings: usize = self.argv.iter().chain(&self.envp).map(|word| word.as_bytes().len() + 9).sum();
        if strings as u64 > size / 4 {
            return Err(Problem::ArgumentsTooLong);
        }
        let mut at = top - 8; // Linux leaves a null word at the end.
        let mut push = |bytes: &[u8]| {
            at -= bytes.len() as u64;
            // The stack has just been mapped, with room for this.
            let _ = memory.write(at, bytes);
            at
        };
        let execfn = push(self.program.to_bytes_with_nul());
        let mut push_all = |words: &[CString]| -> Vec<u64> {
            let mut addrs: Vec<u64> = words.iter().rev().map(|word| push(word.as_bytes_with_nul())).collect();
            addrs.reverse();
            addrs
        };
        let envp = push_all(&self.envp);
        let argv = push_all(&self.argv);
        let platform = push(&[self.abi.machine().as_bytes(), b"\0"].concat());
        let mut seed = self.random.as_ref().map_or_else(host_random, |random| lock(random).clone());
        let random = push(&seed.bytes(16));

        let auxv = self.auxiliary_vector(program, base, [execfn, platform, random]);
        self.alone().auxv = auxv.iter().flat_map(|word| word.to_le_bytes()).collect();
        let words = 1 + argv.len() + 1 + envp.len() + 1 + auxv.len();
        let sp = (at & !15) - (words as u64 * 8).next_multiple_of(16);
        let mut table = Encoder::default().u64(argv.len() as u64);
        for word in argv.iter().chain(&[0]).chain(&envp).chain(&[0]).chain(&auxv) {
            table = table.u64(*word);
        }
        memory.write(sp, &table.into_vec()).map_err(|_| Problem::ArgumentsTooLong)?;
        self.alone().stack_start = sp;
        Ok(sp)
    }

    fn auxiliary_vector(&self, program: &Loaded, base: u64, [execfn, platform, random]: [u64; 3]) -> Vec<u64> {
        let [hwcap, hwcap2] = self.abi.hwcap();
        let id = |call: fn() -> Result<u64, super::errno::Errno>| call().unwrap_or(0);
        let entries = [
            (AT_HWCAP, hwcap),
            (AT_PAGESZ, PAGE),
            (AT_CLKTCK, 100),
            (AT_PHDR, program.headers),
            (AT_PHENT, 56),
            (AT_PHNUM, program.header_count),
            (AT_BASE, base),
            (AT_FLAGS, 0),
            (AT_ENTRY, program.entry),
            (AT_UID, id(host::getuid)),
            (AT_EUID, id(host::geteuid)),
            (AT_GID, id(host::getgid)),
            (AT_EGID, id(host::getegid)),
            (AT_SECURE, 0),
            (AT_RANDOM, random),
            (AT_HWCAP2, hwcap2),
            (AT_EXECFN, execfn),
            (AT_PLATFORM, platform),
            (AT_MINSIGSTKSZ, self.abi.minimum_signal_stack()),
            (0, 0),
        ];
        let is_told = |key| key != AT_PLATFORM || self.abi.tells_platform();
        entries.iter().filter(|(key, _)| is_told(*key)).flat_map(|&(key, value)| [key, value]).collect()
    }
}

/// A generator that nobody can predict.
fn host_random() -> Random {
    let mut seed = [0; 8];
    let filled = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
    Random(filled.map_or(0, |_| u64::from_le_bytes(seed)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::mem::Access;

    /// A kernel with an empty heap and nothing mapped.
    pub(in super::super) fn kernel() -> (Kernel, GuestMemory) {
        let abi = isa::linux_of(isa::all()[0]).unwrap();
        let config = Config {
            argv: vec![c"prog".into(), c"an argument".into()],
            envp: vec![c"A=1".into()],
            seed: Some(1),
            ..Config::default()
        };
        let kernel = Kernel::new(config, abi, 183, Path::new("/bin/prog"));
        *lock(&kernel.space) = Space { heap: (0x1000_0000, 0x1000_0000), mmap_top: HIGHEST, ..Space::default() };
        (kernel, GuestMemory::new(abi.address_mask()).unwrap())
    }

    #[test]
    fn the_stack_has_the_abi_s_layout() {
        let (mut kernel, memory) = kernel();
        let top = 0x8000_0000;
        lock(&kernel.space).map_anonymous(&memory, top - STACK_MIN, STACK_MIN, 3, false, "").unwrap();
        let program = Loaded {
            path: "/bin/prog".into(),
            bias: 0,
            entry: 0x400100,
            headers: 0x400040,
            header_count: 4,
            segments: Vec::new(),
        };
        let sp = kernel.build_stack(&memory, &program, 0, top, STACK_MIN).unwrap();
        assert_eq!(sp % 16, 0);
        let word = |at: u64| u64::from_le_bytes(memory.load(at).unwrap());
        let text = |at: u64| String::from_utf8(memory.read_c_string(at, 100).unwrap().0).unwrap();
        assert_eq!(word(sp), 2);
        assert_eq!([text(word(sp + 8)), text(word(sp + 16))], ["prog", "an argument"]);
        assert_eq!((word(sp + 24), text(word(sp + 32)), word(sp + 40)), (0, "A=1".into(), 0));
        let auxv: Vec<(u64, u64)> = (0..).map(|i| (word(sp + 48 + i * 16), word(sp + 56 + i * 16))).take(20).collect();
        let value = |key| auxv.iter().find(|entry| entry.0 == key).unwrap().1;
        assert_eq!((value(AT_PHDR), value(AT_PHNUM), value(AT_ENTRY)), (0x400040, 4, 0x400100));
        assert_eq!(text(value(AT_PLATFORM)), isa::all()[0].arch());
        assert!(text(value(AT_EXECFN)).ends_with("prog"));
        assert!(memory.check(value(AT_RANDOM), 16, Access::Read).is_ok());
        assert_eq!(auxv.last(), Some(&(0, 0)));
    }

    #[test]
    fn too_many_arguments_are_refused() {
        let (mut kernel, memory) = kernel();
        kernel.alone().argv = vec![CString::new(vec![b'x'; 1 << 20]).unwrap()];
        let program = Loaded::default();
        let result = kernel.build_stack(&memory, &program, 0, 0x8000_0000, STACK_MIN);
        assert!(matches!(result, Err(Problem::ArgumentsTooLong)));
    }
}
