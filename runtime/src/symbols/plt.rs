//! Names for the stubs of a procedure linkage table: `memcpy@plt`, as disassemblers call them.
//!
//! No file says which stub is whose. Each jumps through a slot of the global offset table, and the relocation of that slot
//! names the function: so a stub is read for its slot, whatever the linker put around it. How a stub looks is the
//! architecture's ([`Isa::plt_slot`]).

use super::file::{Elf, MOST_SYMBOLS, Place, SHF_EXECINSTR, demangle, flags};
use crate::isa::{self, Isa};
use crate::probe::attach::Symbol;
use hashbrown::HashMap;
use object::read::elf::FileHeader;
use object::{Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, RelocationTarget};

/// The stubs of a file. Those whose slot has no name, such as that of a local indirect function, are left out.
pub(super) fn stubs(file: &Elf<'_>, place: &Place) -> Vec<Symbol> {
    let Some(isa) = isa::by_machine(file.elf_header().e_machine(file.endian()).0) else { return Vec::new() };
    let mut stubs: HashMap<u64, Stub> = HashMap::new();
    for section in file.sections().filter(|section| flags(section) & SHF_EXECINSTR != 0) {
        if let (Ok(".plt" | ".plt.sec" | ".plt.got" | ".iplt"), Ok(code)) = (section.name(), section.data()) {
            let room = MOST_SYMBOLS - stubs.len();
            stubs.extend(in_section(isa, section.address(), code).into_iter().take(room));
        }
    }
    let (Some(relocations), Some(names)) = (file.dynamic_relocations(), file.dynamic_symbol_table()) else {
        return Vec::new();
    };
    let mut symbols = Vec::new();
    for (slot, relocation) in relocations {
        // Each stub gets one name, so a table with more rows for a slot than one makes no list that is longer.
        let RelocationTarget::Symbol(index) = relocation.target() else { continue };
        let Ok(symbol) = names.symbol_by_index(index) else { continue };
        let Ok(raw) = symbol.name() else { continue };
        let Some(stub) = (!raw.is_empty()).then(|| stubs.remove(&slot)).flatten() else { continue };
        let addr = stub.addr.wrapping_add(place.bias);
        if place.range.contains(&addr) {
            let name = demangle(raw);
            let raw = (name != raw).then(|| format!("{raw}@plt").into());
            let size = stub.size.min(place.range.end - addr);
            let name = format!("{name}@plt");
            symbols.push(Symbol { module: place.index, name, raw, addr, size, function: true, indirect: false });
        }
    }
    symbols
}

/// A stub at its address in the file.
struct Stub {
    addr: u64,
    size: u64,
}

/// The stubs of a section, by their slots.
fn in_section(isa: &dyn Isa, start: u64, code: &[u8]) -> Vec<(u64, Stub)> {
    /// What a stub has at least: two instructions for the slot's address and contents, and a jump.
    const SMALLEST: usize = 12;
    let mut found: Vec<(usize, u64)> = Vec::new();
    let mut at = 0;
    while let Some(rest) = code.get(at..).filter(|rest| rest.len() >= SMALLEST) {
        let slot = isa.plt_slot(start.wrapping_add(at as u64), rest);
        found.extend(slot.map(|slot| (at, slot)));
        at += if slot.is_some() { SMALLEST } else { 4 };
    }
    // The stubs of a table have one size. Behind the last one there may be code of another kind.
    let distance = found.windows(2).map(|pair| pair[1].0 - pair[0].0).min().unwrap_or(code.len());
    let size = |at: usize| distance.min(code.len() - at) as u64;
    found.into_iter().map(|(at, slot)| (slot, Stub { addr: start.wrapping_add(at as u64), size: size(at) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(machine: u16, start: u64, words: &[u32]) -> Vec<(u64, u64, u64)> {
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let stubs = in_section(isa::by_machine(machine).unwrap(), start, &code);
        stubs.into_iter().map(|(slot, stub)| (stub.addr, stub.size, slot)).collect()
    }

    /// What GNU ld writes for each of its kinds, as objdump shows it.
    #[test]
    fn stubs_are_read_for_their_slots() {
        let plain = [
            0xa9bf7bf0, 0xf00000f0, 0xf947fe11, 0x913fe210, 0xd61f0220, 0xd503201f, 0xd503201f, 0xd503201f, 0x90000110,
            0xf9400211, 0x91000210, 0xd61f0220, 0x90000110, 0xf9400611, 0x91002210, 0xd61f0220,
        ];
        // The header jumps through a slot, too, which has no relocation.
        let header = (0x644, 16, 0x1fff8);
        assert_eq!(found(183, 0x640, &plain), [header, (0x660, 16, 0x20000), (0x670, 16, 0x20008)]);
        let authenticated = [
            0x90000110, 0xf9400211, 0x91000210, 0xd503219f, 0xd61f0220, 0xd503201f, 0x90000110, 0xf9400611, 0x91002210,
            0xd503219f, 0xd61f0220, 0xd503201f,
        ];
        assert_eq!(found(183, 0x700, &authenticated), [(0x700, 24, 0x20000), (0x718, 24, 0x20008)]);
        let landing = [
            0xd503245f, 0x90000110, 0xf9400211, 0x91000210, 0xd61f0220, 0xd503201f, 0xd503245f, 0x90000110, 0xf9400611,
            0x91002210, 0xd61f0220, 0xd503201f,
        ];
        assert_eq!(found(183, 0x700, &landing), [(0x700, 24, 0x20000), (0x718, 24, 0x20008)]);
        let auipc = [
            0x00002397, 0x41c30333, 0xa283be03, 0xfd430313, 0xa2838293, 0x00135313, 0x0082b283, 0x000e0067, 0x00002e17,
            0xa18e3e03, 0x000e0367, 0x00000013, 0x00002e17, 0xa10e3e03, 0x000e0367, 0x00000013,
        ];
        assert_eq!(found(243, 0x5e0, &auipc), [(0x600, 16, 0x2018), (0x610, 16, 0x2020)]);
    }

    #[test]
    fn what_is_no_stub_is_none() {
        assert_eq!(found(183, u64::MAX, &[]), []);
        assert_eq!(found(183, u64::MAX - 4, &[0xd503201f; 9]), []);
        // A slot beyond the address space wraps, as the instructions do.
        assert_eq!(found(183, u64::MAX - 0xfff, &[0xb0000010, 0xf9400211, 0xd61f0220]), [(u64::MAX - 0xfff, 12, 0)]);
        assert_eq!(found(183, 0, &[0x90000110, 0xf9400211]), []);
    }
}
