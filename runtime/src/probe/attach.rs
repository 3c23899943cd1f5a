//! Place resolution.
pub trait Symbols {
    fn locate(&self, addr: u64) -> Option<Location>;
}
pub struct Location {
    pub name: String,
    pub offset: u64,
}
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    pub(crate) struct TestSymbols;
    impl TestSymbols {
        pub(crate) fn sample() -> Self {
            TestSymbols
        }
    }
    impl Symbols for TestSymbols {
        fn locate(&self, addr: u64) -> Option<Location> {
            (0x1000..0x1100).contains(&addr).then(|| Location { name: "main".into(), offset: addr - 0x1000 })
        }
    }
}
pub(crate) fn fetch(memory: &crate::mem::GuestMemory, isa: &dyn crate::isa::Isa, pc: u64) -> Option<(u32, u8)> {
    let half = u16::from_le_bytes(memory.fetch::<2>(pc).ok()?);
    match isa.insn_len(half) {
        2 => Some((u32::from(half), 2)),
        len => Some((u32::from_le_bytes(memory.fetch::<4>(pc).ok()?), len)),
    }
}
