//! The compiler proper: from a [`Draft`] of a region to host code. It shares nothing with running guests, so it may work
//! on a thread of its own.

use super::lower::{self, Native};
use super::relocate::Code;
use super::{Draft, FpMode};
use crate::cells::Cells;
use crate::mem::host::map_large_pieces;
use crate::vm::Counting;
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use std::cell::Cell;
use std::sync::{Arc, Once};

/// Cranelift, ready for one function after the other.
pub struct Compiler {
    cells: Arc<Cells>,
    counting: Counting,
    native: Native,
    isa: OwnedTargetIsa,
    functions: FunctionBuilderContext,
    context: cranelift_codegen::Context,
}

/// The functions that are there before any region; see [`lower`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Fixed {
    Trampoline,
    Resolver,
    Preserving,
}

impl Compiler {
    /// Prepares for the host CPU. `counting` says what generated code does with the instruction count.
    ///
    /// # Errors
    /// Cranelift's if it does not support this CPU.
    pub(super) fn new(cells: &Arc<Cells>, counting: Counting) -> std::io::Result<Self> {
        // Cranelift's tables for a large region are megabytes, which nobody needs before the next one.
        map_large_pieces();
        let isa = host_isa().map_err(std::io::Error::other)?;
        Ok(Compiler {
            cells: cells.clone(),
            counting,
            native: native(&*isa),
            isa,
            functions: FunctionBuilderContext::new(),
            context: cranelift_codegen::Context::new(),
        })
    }

    /// What code depends on beside the micro-ops: the host processor, as far as anything here asks for it.
    pub fn description(&self) -> String {
        let flags: Vec<String> = self.isa.isa_flags().iter().map(ToString::to_string).collect();
        format!("{} {} {}", self.isa.triple(), flags.join(" "), super::direct::description())
    }

    /// Compiles one of the fixed functions.
    pub(super) fn fixed(&mut self, which: Fixed) -> std::io::Result<Vec<u8>> {
        let lower = match which {
            Fixed::Trampoline => lower::trampoline,
            Fixed::Resolver => lower::resolver,
            Fixed::Preserving => lower::preserving,
        };
        lower(&mut self.context.func, &mut self.functions, &*self.isa);
        let code = self.emit().filter(|code| code.places.is_empty());
        code.map(|code| code.bytes).ok_or_else(|| std::io::Error::other("cannot generate the entry code"))
    }

    /// Compiles a region. `None` if that is not possible; it is then interpreted.
    pub fn compile(&mut self, draft: &Draft) -> Option<Code> {
        self.lower(draft);
        self.emit()
    }

    /// Returns Cranelift's IR of a region, for dumps; with `assembly` the host code instead.
    pub fn dump(&mut self, draft: &Draft, assembly: bool) -> String {
        self.lower(draft);
        let mut text = self.context.func.display().to_string();
        if assembly {
            self.context.set_disasm(true);
            text = match self.context.compile(&*self.isa, &mut Default::default()) {
                Ok(code) => code.vcode.clone().unwrap_or_default(),
                Err(error) => format!("{:?}", error.inner),
            };
        }
        self.context.clear();
        text
    }

    /// Makes Cranelift's IR of a region in `self.context`.
    fn lower(&mut self, draft: &Draft) {
        let float = self.native.float && draft.mode != FpMode::Reference;
        let native = Native { float, canonical: float && draft.mode == FpMode::Canonical, ..self.native };
        let plan = lower::Plan {
            blocks: &draft.blocks,
            seen: &draft.seen,
            entries: &draft.entries,
            cells: &self.cells,
            parallel: draft.parallel,
            counting: self.counting,
            native,
        };
        lower::region(&mut self.context.func, &mut self.functions, &*self.isa, &plan);
    }

    /// Compiles the function in `self.context` and clears it. `None` if Cranelift cannot.
    fn emit(&mut self) -> Option<Code> {
        // Cranelift panics where it has no rule for an operation. That is a mistake of ours, which debug builds show;
        // a release build goes on with the interpreter.
        let context = &mut self.context;
        let isa = &*self.isa;
        let mut compile = || {
            context.compile(isa, &mut Default::default()).ok()?;
            // There are no calls of library functions, which would be other relocations: there are none to call.
            Code::of(context.compiled_code()?, &context.func.params)
        };
        let code = if cfg!(debug_assertions) { compile() } else { quietly(compile).unwrap_or_default() };
        debug_assert!(code.is_some(), "Cranelift cannot compile a region");
        if code.is_none() {
            self.context = cranelift_codegen::Context::new();
        }
        self.context.clear();
        code
    }
}

thread_local! {
    /// A panic in this thread is expected, and caught.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` and catches a panic in it without a word.
fn quietly<T>(f: impl FnOnce() -> T) -> std::thread::Result<T> {
    // Once for the process: changing the hook takes a lock, which a fork must not find held by another thread.
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                hook(info);
            }
        }));
    });
    QUIET.set(true);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    QUIET.set(false);
    result
}

/// What the host has for native vector code.
fn native(isa: &dyn TargetIsa) -> Native {
    let has = |name: &str| isa.isa_flags().iter().any(|flag| flag.name == name && flag.as_bool() == Some(true));
    let vectors = has("has_ssse3") && has("has_sse41") && has("has_sse42");
    Native { vectors, fused: has("has_fma") && has("has_avx"), float: vectors, canonical: false }
}

/// Cranelift's description of this machine.
fn host_isa() -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    let values = [
        // Blocks are compiled as written: merging two plain loads of one guest address would break spin loops.
        ("opt_level", "none"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("is_pic", "false"),
        ("unwind_info", "false"),
        ("preserve_frame_pointers", "true"),
        ("enable_probestack", "false"),
    ];
    for (name, value) in values {
        flags.set(name, value).map_err(|error| format!("{name}: {error}"))?;
    }
    cranelift_native::builder()
        .map_err(str::to_owned)?
        .finish(settings::Flags::new(flags))
        .map_err(|error| error.to_string())
}
