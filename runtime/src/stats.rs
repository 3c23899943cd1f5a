//! What a run has done and where its time went, for `spile run --stats`.
//!
//! Each thread has a [`Meter`]; what concerns shared code is counted in [`Made`]. Both are touched where control changes
//! hands only: nothing of it is in generated code or between the micro-ops of a block. A meter that is off is an empty
//! option, and reads no clock.

use crate::jit::Left;
use crate::uop::JumpHint;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// What a thread spends its time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Executing micro-ops one by one.
    Interpreting,
    /// In generated code, with the functions that it calls, but for actions.
    Generated,
    /// Looking for a block that the thread does not know yet, and translating it.
    Translating,
    /// Compiling, where that is not done beside the guest; and preparing for it.
    Compiling,
    /// Actions and bodies of probes between instructions.
    Probing,
    /// In system calls, sleeping included.
    Calling,
    /// Waiting while another thread is exclusive.
    Waiting,
    /// Between all of these: the loop of [`crate::vm`].
    Dispatching,
}

impl Activity {
    /// Each with its name in reports.
    pub const ALL: [(Activity, &str); 8] = [
        (Activity::Generated, "generated code"),
        (Activity::Interpreting, "interpreter"),
        (Activity::Translating, "translating"),
        (Activity::Compiling, "compiling"),
        (Activity::Probing, "probes"),
        (Activity::Calling, "system calls"),
        (Activity::Waiting, "waiting"),
        (Activity::Dispatching, "dispatching"),
    ];
}

/// How generated code came back to the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a direct branch that is not chained.
    Branch,
    /// By an indirect jump that the thread's cache does not know.
    Jump,
    /// By such a call.
    Call,
    /// By such a return.
    Return,
    /// In front of an access, a system call or a trap that it leaves to the loop, or because the thread is to look at
    /// something.
    Slow,
    /// In front of code of probes that it leaves out.
    Cold,
}

impl Way {
    /// Each with its name in reports.
    pub const ALL: [(Way, &str); 6] = [
        (Way::Branch, "direct branch"),
        (Way::Jump, "indirect jump"),
        (Way::Call, "indirect call"),
        (Way::Return, "return"),
        (Way::Slow, "slow exit"),
        (Way::Cold, "left-out probe"),
    ];
}

impl From<Left> for Way {
    fn from(left: Left) -> Way {
        match left {
            Left::Slow => Way::Slow,
            Left::Branch(_) => Way::Branch,
            Left::Indirect(JumpHint::Jump) => Way::Jump,
            Left::Indirect(JumpHint::Call) => Way::Call,
            Left::Indirect(JumpHint::Return) => Way::Return,
        }
    }
}

/// Why translated code is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It has been written, or other memory is mapped in its place.
    Written,
    /// Probes have come or gone.
    Probes,
    /// A second thread begins.
    Threads,
    /// Regions only: what they leave out is not seldom gone on with.
    Warm,
}

impl Cause {
    /// Each with its name in reports.
    pub const ALL: [(Cause, &str); 4] = [
        (Cause::Written, "written or unmapped"),
        (Cause::Probes, "probes changed"),
        (Cause::Threads, "second thread"),
        (Cause::Warm, "left-out code runs often"),
    ];
}

/// What a thread has counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// By [`Activity`], in nanoseconds.
    spent: [u64; Activity::ALL.len()],
    /// By [`Way`].
    left: [u64; Way::ALL.len()],
    /// By [`Way`]: how often there was code where control went.
    met: [u64; Way::ALL.len()],
    turns: u64,
    entered: u64,
    system_calls: u64,
    actions: u64,
    threads: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Counts) {
        let Counts { spent, left, met, turns, entered, system_calls, actions, threads } = other;
        let sum = |all: &mut [u64], more: &[u64]| all.iter_mut().zip(more).for_each(|(all, more)| *all += more);
        sum(&mut self.spent, spent);
        sum(&mut self.left, left);
        sum(&mut self.met, met);
        self.turns += turns;
        self.entered += entered;
        self.system_calls += system_calls;
        self.actions += actions;
        self.threads += threads;
    }
}

/// The clock and the counters of a thread; nothing if nobody wants to know.
#[derive(Debug, Default)]
pub(crate) struct Meter(Option<Box<Running>>);

#[derive(Debug)]
struct Running {
    now: Cell<Activity>,
    since: Cell<Instant>,
    counts: RefCell<Counts>,
}

impl Meter {
    pub(crate) fn new(on: bool) -> Meter {
        let running = || Running {
            now: Cell::new(Activity::Dispatching),
            since: Cell::new(Instant::now()),
            counts: RefCell::new(Counts { threads: 1, ..Counts::default() }),
        };
        Meter(on.then(|| Box::new(running())))
    }

    /// Begins an activity. Returns what goes on when it is over, for another call of this.
    pub(crate) fn begin(&self, activity: Activity) -> Activity {
        let Some(running) = &self.0 else { return activity };
        let before = running.now.replace(activity);
        let now = Instant::now();
        let spent = now - running.since.replace(now);
        self.count(|counts| counts.spent[before as usize] += nanoseconds(spent));
        before
    }

    /// Spends the time of `f` on an activity.
    pub(crate) fn spend<T>(&self, activity: Activity, f: impl FnOnce() -> T) -> T {
        let before = self.begin(activity);
        let result = f();
        self.begin(before);
        result
    }

    fn count(&self, f: impl FnOnce(&mut Counts)) {
        if let Some(running) = &self.0 {
            f(&mut running.counts.borrow_mut());
        }
    }

    pub(crate) fn turn(&self) {
        self.count(|counts| counts.turns += 1);
    }

    pub(crate) fn enter(&self) {
        self.count(|counts| counts.entered += 1);
    }

    /// Generated code has been left; `met`: there is code where control goes.
    pub(crate) fn leave(&self, way: Way, met: bool) {
        self.count(|counts| {
            counts.left[way as usize] += 1;
            counts.met[way as usize] += u64::from(met);
        });
    }

    pub(crate) fn system_call(&self) {
        self.count(|counts| counts.system_calls += 1);
    }

    pub(crate) fn action(&self) {
        self.count(|counts| counts.actions += 1);
    }

    /// Begins anew, in the middle of an activity: this is another process now.
    pub(crate) fn restart(&mut self, activity: Activity) {
        *self = Meter::new(self.0.is_some());
        self.begin(activity);
    }

    /// What has been counted so far.
    pub(crate) fn take(&self) -> Counts {
        self.begin(Activity::Dispatching);
        self.0.as_ref().map(|running| running.counts.take()).unwrap_or_default()
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Translated code that has come and gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    /// Blocks, with what is in them, those translated again included.
    pub(crate) blocks: u64,
    pub(crate) insns: u64,
    pub(crate) uops: u64,
    /// Blocks that got quick code.
    pub(crate) quick: u64,
    /// Regions, with what is in them.
    pub(crate) regions: u64,
    pub(crate) region_blocks: u64,
    pub(crate) region_insns: u64,
    pub(crate) code: u64,
    /// Compiled for nothing: something of it had been dropped meanwhile, or cannot be compiled.
    pub(crate) wasted: u64,
    /// Regions that an earlier run has compiled, and the bytes of guest code in them.
    pub(crate) recalled: u64,
    pub(crate) recalled_bytes: u64,
    /// Such regions that are for other code than what is there, or for code that has probes now.
    pub(crate) outdated: u64,
    /// By [`Cause`].
    pub(crate) dropped_blocks: [u64; Cause::ALL.len()],
    pub(crate) dropped_regions: [u64; Cause::ALL.len()],
    /// By [`Cause`]: dropped and translated again. Zero if nobody wants to know.
    pub(crate) again: [u64; Cause::ALL.len()],
    /// The time that compiling took, wherever it was done.
    pub(crate) compiling: Duration,
}

/// A number of a report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Time.
    Time(Duration),
    /// A number of things.
    Count(u64),
    /// A part of them, of the same kind as the row above.
    Part(u64),
    /// Memory.
    Bytes(u64),
}

/// A group of rows.
#[derive(Clone, Debug)]
pub struct Section {
    /// What it is about.
    pub title: &'static str,
    /// Name and value.
    pub rows: Vec<(String, Value)>,
}

/// What there is at the end of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// Since the process began to run the guest.
    pub(crate) elapsed: Duration,
    pub(crate) live_blocks: u64,
    /// What probes have printed without an action; see [`crate::records`].
    pub(crate) records: u64,
    /// Executions of blocks by the interpreter and as quick code, and of their instructions.
    pub(crate) executed: (u64, u64),
    pub(crate) live_regions: u64,
    /// Blocks that are in one of them at least.
    pub(crate) compiled_blocks: u64,
    pub(crate) live_code: u64,
    pub(crate) peak: u64,
}

/// Makes the report.
pub(crate) fn report(counts: &Counts, made: &Made, standing: &Standing) -> Vec<Section> {
    let count = |name: &str, value: u64| (name.to_owned(), Value::Count(value));
    let part = |name: &str, value: u64| (name.to_owned(), Value::Part(value));
    let mut time: Vec<_> = Activity::ALL
        .iter()
        .map(|&(activity, name)| (name.to_owned(), Value::Time(Duration::from_nanos(counts.spent[activity as usize]))))
        .collect();
    time.push(("elapsed".into(), Value::Time(standing.elapsed)));
    time.push(("compiling, beside it too".into(), Value::Time(made.compiling)));
    let translation = vec![
        count("blocks translated", made.blocks),
        part("instructions", made.insns),
        part("micro-ops", made.uops),
        count("single blocks executed", standing.executed.0),
        part("instructions", standing.executed.1),
        count("blocks made quick", made.quick),
        count("regions compiled", made.regions),
        part("blocks", made.region_blocks),
        part("instructions", made.region_insns),
        part("not used", made.wasted),
        count("regions of earlier runs", made.recalled),
        ("of guest code".into(), Value::Bytes(made.recalled_bytes)),
        part("not used", made.outdated),
    ];
    let mut dispatching = vec![
        count("turns of the loop", counts.turns),
        count("system calls", counts.system_calls),
        count("actions of probes", counts.actions),
        count("records of probes", standing.records),
        count("generated code entered", counts.entered),
    ];
    for &(way, name) in &Way::ALL {
        dispatching.push(count(&format!("left by {name}"), counts.left[way as usize]));
        if !matches!(way, Way::Slow | Way::Cold) {
            dispatching.push(part("to generated code", counts.met[way as usize]));
        }
    }
    let mut dropped = Vec::new();
    for &(cause, name) in &Cause::ALL {
        let index = cause as usize;
        dropped.push(count(name, made.dropped_blocks[index]));
        dropped.push(part("translated again", made.again[index]));
        dropped.push(part("regions", made.dropped_regions[index]));
    }
    let memory = vec![
        ("host code now".into(), Value::Bytes(standing.live_code)),
        ("host code made".into(), Value::Bytes(made.code)),
        count("blocks now", standing.live_blocks),
        count("regions now", standing.live_regions),
        part("different blocks", standing.compiled_blocks),
        count("threads", counts.threads),
        ("peak resident memory".into(), Value::Bytes(standing.peak)),
    ];
    vec![
        Section { title: "time", rows: time },
        Section { title: "translation", rows: translation },
        Section { title: "control", rows: dispatching },
        Section { title: "blocks dropped", rows: dropped },
        Section { title: "memory", rows: memory },
    ]
}
