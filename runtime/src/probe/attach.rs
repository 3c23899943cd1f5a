//! Place resolution.
pub trait Symbols {
    fn locate(&self, addr: u64) -> Option<Location>;
}
pub struct Location { pub name: String, pub offset: u64 }
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    pub(crate) struct TestSymbols;
    impl TestSymbols { pub(crate) fn sample() -> Self { TestSymbols } }
    impl Symbols for TestSymbols { fn locate(&self, addr: u64) -> Option<Location> {
        (0x1000..0x1100).contains(&addr).then(|| Location { name: "main".into(), offset: addr - 0x1000 })
    } }
}
