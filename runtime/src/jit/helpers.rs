//! Functions that generated code calls. Unsafe code lives here.
//!
//! Contract: generated code passes the pointer to the CPU state that it was entered with; while it runs nobody else
//! touches that state, and the context pointer in it is the one that [`super::Jit::enter`] has set for the duration
//! of the call. A helper never unwinds into generated code: a panic aborts, with its message printed.
#![allow(unsafe_code, reason = "generated code hands over raw pointers")]

use crate::cpu::{CodeLinks, CpuState};
use crate::interp::{ActionCall, Context, run_one};
use crate::uop::{FlagKind, Uop, VectorMemory, slot};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Fills in the helpers' addresses.
pub(super) fn install(links: &mut CodeLinks) {
    links.plain = plain as *const () as usize;
    links.action = action as *const () as usize;
    links.nzcv = nzcv as *const () as usize;
    links.fp_sync = fp_sync as *const () as usize;
}

/// Erases the context for [`CodeLinks::context`].
pub(super) fn erase(ctx: &mut Context<'_>) -> usize {
    std::ptr::from_mut(ctx) as usize
}

/// Runs `f`; a panic in it ends the process, since it cannot unwind through generated code.
fn guarded<T>(f: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => value,
        Err(_) => std::process::abort(),
    }
}

/// Executes one micro-op by its reference meaning, on slots in the state. Returns 0, or 1 without having done anything
/// if the interpreter must do it: it traps, or it may write to translated code, behind which generated code may not go
/// on, or it needs the exact instruction count.
///
/// # Safety
/// See the module's contract; `uop` points to a micro-op of the region that is running.
unsafe extern "sysv64" fn plain(state: *mut CpuState, uop: *const Uop) -> u64 {
    // SAFETY: by contract the state is live and ours for the duration of the call, and so is its context.
    let (state, ctx) = unsafe { (&mut *state, &mut *((*state).links.context as *mut Context<'_>)) };
    // SAFETY: by contract it points into the region's blocks, which live as long as its code.
    let uop = unsafe { *uop };
    if writes_code(uop, state, ctx) || (matches!(uop, Uop::ReadSys { .. }) && ctx.host.ticks_are_counted()) {
        return 1;
    }
    // The reference functions do without the host's floating point; what is behind a system register may use it.
    let foreign = matches!(uop, Uop::ReadSys { .. } | Uop::WriteSys { .. });
    let failed = guarded(|| u64::from(run_one(uop, state, ctx).is_err()));
    if foreign {
        set_mxcsr(GUEST_MXCSR);
    }
    failed
}

/// True if `uop` is a store to a page with translated code. All these stores are aligned or fault, but those of vectors.
fn writes_code(uop: Uop, state: &CpuState, ctx: &Context<'_>) -> bool {
    match uop {
        Uop::ZeroBlock { a }
        | Uop::StoreEx { a, .. }
        | Uop::StoreExPair { a, .. }
        | Uop::Amo { a, .. }
        | Uop::Cas { a, .. }
        | Uop::CasPair { a, .. } => ctx.memory.is_code(state.x[a as usize]),
        Uop::Vector { bits, memory: VectorMemory::Store, a, b, .. } => {
            let mut found = false;
            let operands = [state.x[a as usize], state.x[b as usize]];
            ctx.isa.vector_accesses(bits, operands, state, ctx.memory, &mut |access| {
                found =
                    ctx.memory.is_code(access.addr) || ctx.memory.is_code(access.addr.wrapping_add(access.size - 1));
                !found
            });
            found
        }
        _ => false,
    }
}

/// Performs a probe action. `packed` is the action's index, first argument slot and number of slots in bits 0–31,
/// 32–39 and 40–47. Returns its result.
///
/// # Safety
/// See the module's contract.
unsafe extern "sysv64" fn action(state: *mut CpuState, packed: u64, pc: u64, icount: u64) -> u64 {
    // SAFETY: as in `plain`.
    let (state, ctx) = unsafe { (&mut *state, &mut *((*state).links.context as *mut Context<'_>)) };
    merge_exceptions(state);
    let result = guarded(|| {
        let call =
            ActionCall { action: packed as u32, args: (packed >> 32) as u8, n: (packed >> 40) as u8, pc, icount };
        crate::interp::perform(call, state, ctx)
    });
    set_mxcsr(GUEST_MXCSR);
    result
}

/// Merges the exceptions that native code has raised into the guest's status. Returns 0.
///
/// # Safety
/// See the module's contract.
unsafe extern "sysv64" fn fp_sync(state: *mut CpuState) -> u64 {
    // SAFETY: as in `plain`.
    merge_exceptions(unsafe { &mut *state });
    0
}

/// MXCSR while generated code runs: round to nearest, all exceptions masked, none raised.
pub(super) const GUEST_MXCSR: u32 = 0x1f80;
/// The exception flags in MXCSR.
const EXCEPTIONS: u32 = 0x3f;

pub(super) fn mxcsr() -> u32 {
    let mut value = 0u32;
    // SAFETY: stores four bytes to the address given.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut value, options(nostack, preserves_flags)) };
    value
}

pub(super) fn set_mxcsr(value: u32) {
    // SAFETY: callers pass masked, round-to-nearest values or one that was read before, as compiled code expects.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &value, options(nostack, preserves_flags, readonly)) };
}

/// Moves the exceptions in MXCSR to the guest's status slot.
pub(super) fn merge_exceptions(cpu: &mut CpuState) {
    let raised = mxcsr() & EXCEPTIONS;
    if raised == 0 {
        return;
    }
    set_mxcsr(GUEST_MXCSR);
    // Invalid, and without the host's denormal operand: divide by zero, overflow, underflow, inexact.
    cpu.x[slot::FP_STATUS as usize] |= u64::from(raised & 1 | raised >> 1 & 0x1e);
}

/// Packs flags from their lazy form.
extern "sysv64" fn nzcv(kind: u64, a: u64, b: u64) -> u64 {
    FlagKind::ALL.get(kind as usize).map_or(0, |kind| kind.nzcv(a, b))
}
