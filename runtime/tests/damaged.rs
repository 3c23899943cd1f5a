//! Whatever a program file holds, loading it and looking places up in it ends without a panic.
//!
//! The fuzz target `elf` does the same for longer; what it found stands here by name.

mod untrusted;

use std::path::{Path, PathBuf};
use untrusted::{Scratch, survives};

/// The guests with most in them: debug information, a library's tables, a procedure linkage table, and next to nothing.
const GUESTS: [&str; 5] = ["records", "records-O2", "libplug.so", "lib/my lib.so", "hello"];
const ROUNDS: usize = 150;

fn guest(name: &str) -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guest/bin").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A fixed sequence, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

#[test]
fn mutated_programs_are_survived() {
    let scratch = Scratch::new("mutated");
    let mut random = Random(0x5eed);
    let mut loaded = 0;
    for name in GUESTS {
        let whole = guest(name);
        for round in 0..ROUNDS {
            let mut bytes = whole.clone();
            for _ in 0..1 + random.below(3) {
                // Every other round in the headers, where a byte says most.
                let at = random.below(if round % 2 == 0 { 0x200.min(bytes.len()) } else { bytes.len() });
                match random.below(3) {
                    0 => bytes[at] = random.below(256) as u8,
                    1 => bytes[at] ^= 1 << random.below(8),
                    _ => {
                        let wide = [u64::MAX, 1 << 63, u64::from(u32::MAX), 0x7fff_ffff][random.below(4)];
                        let to = (at + 8).min(bytes.len());
                        bytes[at..to].copy_from_slice(&wide.to_le_bytes()[..to - at]);
                    }
                }
            }
            loaded += usize::from(survives(&scratch, &bytes));
        }
    }
    assert!(loaded > ROUNDS, "most of what is changed is behind the headers: {loaded}");
}

#[test]
fn truncated_programs_are_survived() {
    let scratch = Scratch::new("truncated");
    for name in GUESTS {
        let whole = guest(name);
        for len in (0..whole.len()).step_by(97) {
            survives(&scratch, &whole[..len]);
        }
    }
}
