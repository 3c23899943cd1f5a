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

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> u128 {
        u128::from_str_radix(text, 16).unwrap().swap_bytes()
    }

    /// FIPS 197, appendix B: the state at the start of round 1, after its byte and row steps, and after mixing.
    #[test]
    fn aes_round_of_the_standard() {
        let start = block("193de3bea0f4e22b9ac68d2ae9f84808");
        let shifted = block("d4bf5d30e0b452aeb84111f11e2798e5");
        let mixed = block("046681e5e0cb199a48f8d37a2806264c");
        assert_eq!(aes_encrypt(start), shifted);
        assert_eq!(aes_mix(shifted), mixed);
        assert_eq!(aes_decrypt(shifted), start);
        assert_eq!(aes_unmix(mixed), shifted);
    }

    /// FIPS 180-4, example of the message "abc": the first four rounds.
    #[test]
    fn sha256_rounds_of_the_standard() {
        let x = join([0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a]);
        let y = join([0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19]);
        let constants = [0x428a_2f98u32, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5];
        let w = join([constants[0].wrapping_add(0x6162_6380), constants[1], constants[2], constants[3]]);
        let (a, e) = sha256_hash(x, y, w);
        assert_eq!(words(a), [0xd550_f666, 0xc8c3_47a7, 0x5a6a_d9ad, 0x5d6a_ebcd]);
        assert_eq!(words(e), [0x24e0_0850, 0xf929_39eb, 0x78ce_7989, 0xfa2a_4622]);
    }

    /// The same for SHA-1.
    #[test]
    fn sha1_rounds_of_the_standard() {
        let x = join([0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]);
        let w = join([0x5a82_7999u32.wrapping_add(0x6162_6380), 0x5a82_7999, 0x5a82_7999, 0x5a82_7999]);
        let choice = |x: u32, y: u32, z: u32| (x & y) | (!x & z);
        assert_eq!(words(sha1_hash(x, 0xc3d2_e1f0, w, choice)), [0xcdd8_e11b, 0xa139_0f08, 0x6264_14db, 0xc045_bf0c]);
    }
}
