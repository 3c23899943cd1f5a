//! AES rounds (FIPS 197) and SHA-1 and SHA-256 steps (FIPS 180-4), cut as the Arm architecture cuts them.

/// Multiplies by x in AES's field.
const fn double(a: u8) -> u8 {
    (a << 1) ^ (if a >> 7 == 1 { 0x1b } else { 0 })
}

/// The AES substitution and its inverse, from their definition.
const TABLES: ([u8; 256], [u8; 256]) = {
    let (mut forward, mut inverse) = ([0; 256], [0; 256]);
    // `p` runs through all elements but 0 as powers of 3, `q` through their inverses.
    let (mut p, mut q) = (1u8, 1u8);
    loop {
        p ^= double(p);
        q ^= q << 1;
        q ^= q << 2;
        q ^= q << 4;
        if q & 0x80 != 0 {
            q ^= 0x09;
        }
        let s = q ^ q.rotate_left(1) ^ q.rotate_left(2) ^ q.rotate_left(3) ^ q.rotate_left(4) ^ 0x63;
        forward[p as usize] = s;
        inverse[s as usize] = p;
        if p == 1 {
            break;
        }
    }
    forward[0] = 0x63;
    inverse[0x63] = 0;
    (forward, inverse)
};

/// Shifts the rows, substitutes the bytes.
pub(super) fn aes_encrypt(state: u128) -> u128 {
    let bytes = state.to_le_bytes();
    u128::from_le_bytes(std::array::from_fn(|i| TABLES.0[bytes[(i + 4 * (i % 4)) % 16] as usize]))
}

/// Undoes [`aes_encrypt`].
pub(super) fn aes_decrypt(state: u128) -> u128 {
    let bytes = state.to_le_bytes();
    u128::from_le_bytes(std::array::from_fn(|i| TABLES.1[bytes[(i + 16 - 4 * (i % 4)) % 16] as usize]))
}

/// Mixes the columns.
pub(super) fn aes_mix(state: u128) -> u128 {
    let bytes = state.to_le_bytes();
    u128::from_le_bytes(std::array::from_fn(|i| {
        let at = |k: usize| bytes[i / 4 * 4 + (i + k) % 4];
        double(at(0)) ^ double(at(1)) ^ at(1) ^ at(2) ^ at(3)
    }))
}

/// Undoes [`aes_mix`].
pub(super) fn aes_unmix(state: u128) -> u128 {
    // The inverse matrix is the matrix times one that adds 4 (a0 + a2) to the even rows, 4 (a1 + a3) to the odd ones.
    let bytes = state.to_le_bytes();
    let prepared = u128::from_le_bytes(std::array::from_fn(|i| {
        let at = |k: usize| bytes[i / 4 * 4 + (i + k) % 4];
        at(0) ^ double(double(at(0) ^ at(2)))
    }));
    aes_mix(prepared)
}

type Words = [u32; 4];

fn words(value: u128) -> Words {
    std::array::from_fn(|i| (value >> (32 * i)) as u32)
}

fn join(words: Words) -> u128 {
    words.into_iter().rev().fold(0, |value, word| value << 32 | u128::from(word))
}

/// Four SHA-1 rounds: `x` holds a to d, `y` e, `w` the schedule words with the constants added.
pub(super) fn sha1_hash(x: u128, y: u128, w: u128, f: impl Fn(u32, u32, u32) -> u32) -> u128 {
    let (mut x, mut y) = (words(x), y as u32);
    for word in words(w) {
        let t = f(x[1], x[2], x[3]);
        let next = y.wrapping_add(x[0].rotate_left(5)).wrapping_add(t).wrapping_add(word);
        y = x[3];
        x = [next, x[0], x[1].rotate_left(30), x[2]];
    }
    join(x)
}

/// SHA-1 schedule, first half: xor of words 0, 2 and 8.
pub(super) fn sha1_schedule0(a: u128, b: u128, c: u128) -> u128 {
    (b << 64 | a >> 64) ^ a ^ c
}

/// SHA-1 schedule, second half: xor of word 13, rotation.
pub(super) fn sha1_schedule1(a: u128, b: u128) -> u128 {
    let t = words(a ^ (b >> 32));
    let r = t.map(|word| word.rotate_left(1));
    join([r[0], r[1], r[2], r[3] ^ t[0].rotate_left(2)])
}

/// Four SHA-256 rounds: `x` holds a to d, `y` e to h, `w` the schedule words with the constants added.
pub(super) fn sha256_hash(x: u128, y: u128, w: u128) -> (u128, u128) {
    let (mut x, mut y) = (words(x), words(y));
    for word in words(w) {
        let choice = (y[0] & y[1]) | (!y[0] & y[2]);
        let majority = (x[0] & x[1]) | (x[0] & x[2]) | (x[1] & x[2]);
        let sigma1 = y[0].rotate_right(6) ^ y[0].rotate_right(11) ^ y[0].rotate_right(25);
        let sigma0 = x[0].rotate_right(2) ^ x[0].rotate_right(13) ^ x[0].rotate_right(22);
        let t = y[3].wrapping_add(sigma1).wrapping_add(choice).wrapping_add(word);
        let e = x[3].wrapping_add(t);
        let a = t.wrapping_add(sigma0).wrapping_add(majority);
        x = [a, x[0], x[1], x[2]];
        y = [e, y[0], y[1], y[2]];
    }
    (join(x), join(y))
}

/// SHA-256 schedule, first half.
pub(super) fn sha256_schedule0(a: u128, b: u128) -> u128 {
    let (from, moved) = (words(a), words(b << 96 | a >> 32));
    let sigma = |x: u32| x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3);
    join(std::array::from_fn(|i| from[i].wrapping_add(sigma(moved[i]))))
}

/// SHA-256 schedule, second half.
pub(super) fn sha256_schedule1(a: u128, b: u128, c: u128) -> u128 {
    let (from, moved, last) = (words(a), words(c << 96 | b >> 32), words(c));
    let sigma = |x: u32| x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10);
    let sum = |i: usize, x: u32| sigma(x).wrapping_add(from[i]).wrapping_add(moved[i]);
    let (w0, w1) = (sum(0, last[2]), sum(1, last[3]));
    join([w0, w1, sum(2, w0), sum(3, w1)])
}
