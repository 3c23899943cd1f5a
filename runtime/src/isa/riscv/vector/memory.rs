//! Loads and stores of elements.
//!
//! Where an access faults, the elements in front of it have been loaded or stored and `vstart` is the element's index: so
//! the instruction can be started again and goes on there.

use super::config::{Config, STATE, VLEN, state};
use super::group::{Elements, FILE, aligned, apart, overlap, require, size};
use super::{Illegal, Insn, LOAD, configuration};
use crate::cpu::CpuState;
use crate::env::TrapEvent;
use crate::isa::VectorAccess;
use crate::isa::encoding::field;
use crate::mem::{Access, Fault, GuestMemory};

/// Where elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// One behind the other.
    Unit,
    /// As `Unit`; elements from the first on that cannot be loaded, unless it is element 0, do not exist.
    FirstFault,
    /// Whole registers, whatever the configuration is.
    Whole,
    /// The bytes of a mask.
    Mask,
    /// A number of bytes from one to the next.
    Strided,
    /// At offsets that are the elements of `vs2`.
    Indexed,
}

/// Returns how an instruction accesses memory. `None` if it is reserved.
pub(super) fn mode(bits: u32) -> Option<Mode> {
    let is_load = bits & 0x7f == LOAD;
    let (fields, is_masked) = (field(bits, 29, 3) + 1, bits >> 25 & 1 == 0);
    let is_bytes = field(bits, 12, 3) == 0;
    match (field(bits, 26, 2), field(bits, 20, 5)) {
        (0, 0b00000) => Some(Mode::Unit),
        (0, 0b01000) if !is_masked && fields.is_power_of_two() && (is_load || is_bytes) => Some(Mode::Whole),
        (0, 0b01011) if !is_masked && fields == 1 && is_bytes => Some(Mode::Mask),
        (0, 0b10000) if is_load => Some(Mode::FirstFault),
        (0, _) => None,
        (2, _) => Some(Mode::Strided),
        _ => Some(Mode::Indexed),
    }
}

/// What an instruction transfers.
struct Transfer {
    mode: Mode,
    insn: Insn,
    /// The width of an element in memory and in registers, in bits.
    bits: u32,
    /// The width of an index.
    index_bits: u32,
    /// The elements of a segment, and the distance of their registers.
    fields: u32,
    distance: u32,
    /// The end of elements.
    end: u64,
}

/// The width in the encoding, as a power of two of bits.
const fn width(bits: u32) -> i32 {
    match field(bits, 12, 3) {
        0 => 3,
        n => n as i32 - 1,
    }
}

/// The size in bytes of an element that is not indexed.
pub(super) const fn element_size(bits: u32) -> u8 {
    1 << (width(bits) - 3)
}

impl Transfer {
    fn new(insn: Insn, cpu: &CpuState) -> Result<Transfer, Illegal> {
        let mode = mode(insn.bits).ok_or(Illegal)?;
        let (vd, vs2, width) = (insn.vd(), insn.vs2(), width(insn.bits));
        let fields = field(insn.bits, 29, 3) + 1;
        let bits = 1 << width;
        let plain = Transfer { mode, insn, bits, index_bits: 0, fields: 1, distance: 1, end: 0 };
        if mode == Mode::Whole {
            require(vd.is_multiple_of(fields))?;
            return Ok(Transfer { end: u64::from(fields * VLEN / bits), ..plain });
        }
        let config = configuration(cpu)?;
        let vl = cpu.x[STATE + state::VL];
        if mode == Mode::Mask {
            return Ok(Transfer { end: vl.div_ceil(8), ..plain });
        }
        let is_load = insn.bits & 0x7f == LOAD;
        let of_width = width - config.sew + config.lmul;
        require((-3..=3).contains(&of_width) && (!is_load || !insn.is_masked() || vd != 0))?;
        let lmul = if mode == Mode::Indexed { config.lmul } else { of_width };
        let distance = size(lmul);
        require(aligned(vd, lmul) && fields * distance <= 8 && vd + fields * distance <= 32)?;
        let transfer = Transfer { fields, distance, end: vl, ..plain };
        if mode != Mode::Indexed {
            return Ok(transfer);
        }
        require(aligned(vs2, of_width))?;
        if is_load {
            let apart = |n| may_index(vd + n * distance, config, vs2, width, of_width, fields);
            require((0..fields).all(apart))?;
        }
        Ok(Transfer { bits: config.bits(), index_bits: bits, ..transfer })
    }

    /// The address of a field of element `i`.
    fn address(&self, i: u64, field: u32, file: &[u128]) -> u64 {
        let [base, stride] = self.insn.scalars;
        let bytes = u64::from(self.bits / 8);
        let offset = match self.mode {
            Mode::Strided => stride.wrapping_mul(i),
            Mode::Indexed => file.element(self.insn.vs2(), i, self.index_bits),
            _ => i * u64::from(self.fields) * bytes,
        };
        base.wrapping_add(offset).wrapping_add(u64::from(field) * bytes)
    }

    /// The register where the elements of a field begin.
    fn register(&self, field: u32) -> u32 {
        self.insn.vd() + field * self.distance
    }

    fn is_active(&self, i: u64, file: &[u128]) -> bool {
        !self.insn.is_masked() || file.mask(0, i)
    }
}

/// True if a load may write the group at `vd` where the indices at `vs2` are read from.
fn may_index(vd: u32, config: Config, vs2: u32, width: i32, of_indices: i32, fields: u32) -> bool {
    let Config { sew, lmul } = config;
    if fields > 1 {
        // An interrupted segment load is begun anew at a segment, of which parts may have been loaded.
        return !overlap(vd, size(lmul), vs2, size(of_indices));
    }
    match width.cmp(&sew) {
        std::cmp::Ordering::Equal => true,
        std::cmp::Ordering::Greater => vd == vs2 || apart(vd, lmul, vs2, of_indices),
        std::cmp::Ordering::Less => apart(vd, lmul, vs2, of_indices),
    }
}

fn load(memory: &GuestMemory, bits: u32, addr: u64) -> Result<u64, Fault> {
    Ok(match bits {
        8 => memory.load::<1>(addr)?[0].into(),
        16 => u16::from_le_bytes(memory.load(addr)?).into(),
        32 => u32::from_le_bytes(memory.load(addr)?).into(),
        _ => u64::from_le_bytes(memory.load(addr)?),
    })
}

fn store(memory: &GuestMemory, bits: u32, addr: u64, value: u64) -> Result<(), Fault> {
    match bits {
        8 => memory.store(addr, [value as u8]),
        16 => memory.store(addr, (value as u16).to_le_bytes()),
        32 => memory.store(addr, (value as u32).to_le_bytes()),
        _ => memory.store(addr, value.to_le_bytes()),
    }
}

/// Executes a load or store.
pub(super) fn execute(insn: Insn, cpu: &mut CpuState, memory: &GuestMemory) -> Result<(), TrapEvent> {
    let transfer = Transfer::new(insn, cpu).map_err(|Illegal| TrapEvent::Illegal(insn.bits))?;
    let is_load = insn.bits & 0x7f == LOAD;
    for i in cpu.x[STATE + state::VSTART]..transfer.end {
        let file = &mut cpu.v[FILE];
        if !transfer.is_active(i, file) {
            continue;
        }
        let moved =
            if is_load { load_segment(&transfer, i, file, memory) } else { store_segment(&transfer, i, file, memory) };
        match moved {
            Ok(()) => {}
            Err(_) if transfer.mode == Mode::FirstFault && i != 0 => {
                cpu.x[STATE + state::VL] = i;
                break;
            }
            Err(fault) => {
                cpu.x[STATE + state::VSTART] = i;
                return Err(TrapEvent::Fault(fault));
            }
        }
    }
    cpu.x[STATE + state::VSTART] = 0;
    Ok(())
}

fn load_segment(transfer: &Transfer, i: u64, file: &mut [u128], memory: &GuestMemory) -> Result<(), Fault> {
    if transfer.mode == Mode::FirstFault {
        check_segment(transfer, i, file, memory)?;
    }
    for field in 0..transfer.fields {
        let value = load(memory, transfer.bits, transfer.address(i, field, file))?;
        file.set_element(transfer.register(field), i, transfer.bits, value);
    }
    Ok(())
}

/// All of a segment can be loaded.
fn check_segment(transfer: &Transfer, i: u64, file: &[u128], memory: &GuestMemory) -> Result<(), Fault> {
    let bytes = u64::from(transfer.fields * transfer.bits / 8);
    memory.check(transfer.address(i, 0, file), bytes, Access::Read).map(|_| ())
}

fn store_segment(transfer: &Transfer, i: u64, file: &[u128], memory: &GuestMemory) -> Result<(), Fault> {
    for field in 0..transfer.fields {
        let value = file.element(transfer.register(field), i, transfer.bits);
        store(memory, transfer.bits, transfer.address(i, field, file), value)?;
    }
    Ok(())
}

/// Calls `f` for each access that an instruction would make, until it returns false.
pub(super) fn accesses(insn: Insn, cpu: &CpuState, memory: &GuestMemory, f: &mut dyn FnMut(VectorAccess) -> bool) {
    let Ok(transfer) = Transfer::new(insn, cpu) else { return };
    let file = &cpu.v[FILE];
    let may_end = transfer.mode == Mode::FirstFault;
    for i in (cpu.x[STATE + state::VSTART]..transfer.end).filter(|&i| transfer.is_active(i, file)) {
        if may_end && i != 0 && check_segment(&transfer, i, file, memory).is_err() {
            return;
        }
        for field in 0..transfer.fields {
            let (addr, size) = (transfer.address(i, field, file), u64::from(transfer.bits / 8));
            // Both are below 256: a group has 128 elements at most.
            let (register, index) = (transfer.register(field) as u8, i as u8);
            if !f(VectorAccess { addr, size, register, index }) {
                return;
            }
        }
    }
}
