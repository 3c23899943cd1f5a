#!/usr/bin/env python3
"""Writes the `.ins` files of the groups whose rows QEMU can judge: random instances of every row of the decode table.

    generate.py                      rewrites integer.ins, branch.ins, memory.ins and atomic.ins
    generate.py GROUP COUNT [SEED]   prints COUNT rows per table row of lift/GROUP.rs, for a test beyond the files:
                                     generate.py integer 1000 7 > /tmp/rows.ins; INS=/tmp/rows.ins cargo test --test isa

Needs qemu-aarch64 (user mode), aarch64-linux-gnu-gcc and its binutils. Rows that QEMU cannot judge, because they trap
or because it implements more than we do, are written by hand in the other files.
"""
import os, random, re, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LIFT = os.path.join(HERE, "../../../runtime/src/isa/aarch64/lift")
CODE, DATA = 0x20000000, 0x10000000
# Vector length extensions would save vectors elsewhere in signal frames.
QEMU = ["qemu-aarch64", "-cpu", "max,sve=off,sme=off"]
# They leave the program, or QEMU has signatures where we have hints.
SKIPPED = {"svc", "brk", "hlt", "hint", "mrs", "msr", "dc_zva", "sb", "isb"}
VALUES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x8000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF,
          0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF80000000]
INDICES = [0, 8, 0x10, 0xFFFFFFFFFFFFFFF0, 0xDEADBEEF00000020, 0xFFFFFFF8, 0x123]


def table(group):
    text = open(os.path.join(LIFT, group + ".rs")).read()
    rows = re.findall(r'row\(\s*"(\w+)",\s*"([01 \w]+)",', text)
    return [(name, pattern.replace(" ", "")) for name, pattern in rows if name not in SKIPPED]


def instance(pattern, rng):
    bits = 0
    for char in pattern:
        bits = bits << 1 | (int(char) if char in "01" else rng.getrandbits(1))
    # The zero register and the stack pointer more often than once in 32.
    for low in (0, 5, 16):
        if rng.random() < 0.05 and not set(pattern[27 - low:32 - low]) & set("01"):
            bits |= 31 << low
    return bits


def is_free(pattern, low, length):
    return not set(pattern[32 - low - length:32 - low]) & set("01")


def value(rng):
    choice = rng.random()
    if choice < 0.6:
        return rng.choice(VALUES)
    return rng.getrandbits(64 if choice < 0.85 else 32)


def field(bits, low):
    return bits >> low & 31


def wide(rng):
    return rng.getrandbits(128)


def case(group, name, pattern, rng):
    """One case: the encodings, and the state before by register name."""
    bits = instance(pattern, rng)
    state = {}
    words = [bits]
    if group in ("integer", "branch"):
        if name in ("b", "bl"):
            bits = bits & ~0x03FFFFFF | rng.choice([1, 2, 100, 0x3FFFFFF, 0x3FF0000, 0x100000])
        elif name == "b_cond" or name[:3] in ("cbz", "cbn"):
            bits = bits & ~0xFFFFE0 | rng.choice([2, 100, 0x7FFFF, 0x40000, 0x3FFFF]) << 5
        elif name[:2] == "tb":
            bits = bits & ~0x7FFE0 | rng.choice([2, 100, 0x3FFF, 0x2000, 0x1FFF]) << 5
        words = [bits]
        for low in (0, 5, 16, 10):
            state["x%d" % field(bits, low)] = value(rng)
        if name in ("br", "blr", "ret"):
            # Not tagged: QEMU drops the tag at the branch, we at the fetch.
            state["x%d" % field(bits, 5)] = 0x30000000 + 4 * rng.getrandbits(20)
        if rng.random() < 0.3:
            # Equal operands.
            state["x%d" % field(bits, 16)] = state["x%d" % field(bits, 5)]
        state["nzcv"] = rng.getrandbits(4) << 28
        state["x31"] = value(rng)
    elif group == "memory":
        if name.endswith("_lit"):
            bits = bits & ~0xFFFFE0 | rng.randrange(1, 500) << 5
            words = [bits]
        for low in (0, 10):
            state["x%d" % field(bits, low)] = value(rng)
        state["x%d" % field(bits, 16)] = rng.choice(INDICES)
        state["x%d" % field(bits, 5)] = DATA + 0x8000 + rng.choice([0, 0, 0x10, 0x7F0, 1, 0xFFC])
        if rng.random() < 0.03:
            state["x%d" % field(bits, 5)] = 0x40
        if name == "stlur" or name.startswith("ldapur"):
            # Must be aligned, which we do not check.
            bits &= ~(0xF << 12)
            words = [bits]
            state["x%d" % field(bits, 5)] = DATA + 0x8000
        if "vec" in name:
            state["q%d" % field(bits, 0)] = wide(rng)
            state["q%d" % field(bits, 10)] = wide(rng)
    elif group == "atomic":
        # The fields that should be ones.
        if name[:4] in ("ldxr", "ldax", "ldxp", "ldar", "ldla", "stlr", "stll"):
            bits |= 31 << 16
        if name[:4] in ("ldar", "ldla", "stlr", "stll") or name.endswith("xr"):
            bits |= 31 << 10
        words = [bits]
        for low in (0, 10, 16):
            state["x%d" % field(bits, low)] = value(rng)
        state["x%d" % field(bits, 5)] = DATA + 0x8000 + 16 * rng.randrange(16)
        if name[:4] in ("stxr", "stlx", "stxp") and rng.random() < 0.7:
            # The load that sets the monitor, of the same registers but the first, which is not the base.
            target = 27 if field(bits, 5) != 27 else 28
            words = [bits & ~0x1F801F | 1 << 22 | 0x1F0000 | target, bits]
            if name.endswith("xp") and field(bits, 10) in (target, field(bits, 5)):
                words = [bits]
        elif name[:3] == "cas" and rng.random() < 0.6:
            # Make the comparison succeed: load what is there.
            base, compare = field(bits, 5), field(bits, 16)
            if compare not in (base, 31, 30):
                size = bits >> 30 if name != "casp" else 2 + (bits >> 30 & 1)
                words = [0x39400000 | size << 30 | base << 5 | compare, bits]
                if name == "casp" and compare + 1 != base:
                    opcode = 0x29400000 | (bits >> 30 & 1) << 31
                    words = [opcode | (compare + 1) << 10 | base << 5 | compare, bits]
    if "x31" in state:
        state["sp"] = state.pop("x31")
    # A register that is both vector and general in this encoding would be set in vain.
    return words, {name: number for name, number in state.items() if number}


def build():
    path = os.path.join(tempfile.mkdtemp(), "execute")
    subprocess.check_call(["aarch64-linux-gnu-gcc", "-O1", "-static", "-o", path, os.path.join(HERE, "execute.c")])
    return path


def execute(program, cases):
    lines = []
    for words, state in cases:
        items = ["%s=%#x" % item for item in state.items()]
        lines.append(" ".join([",".join("%08x" % word for word in words)] + items))
    text = "\n".join(lines) + "\n"
    answer = subprocess.run(QEMU + [program], input=text, capture_output=True, text=True)
    results = answer.stdout.split("\n")[:-1]
    if len(results) != len(cases):
        sys.exit("QEMU stopped at: %s\n%s" % (lines[len(results)], answer.stderr))
    return [result.strip() for result in results]


def disassemble(cases):
    words = [word for words, _ in cases for word in words]
    path = os.path.join(tempfile.mkdtemp(), "code")
    open(path, "wb").write(b"".join(word.to_bytes(4, "little") for word in words))
    command = ["aarch64-linux-gnu-objdump", "-D", "-z", "-b", "binary", "-m", "aarch64", path]
    texts = {}
    index = 0
    for line in subprocess.check_output(command, text=True).splitlines():
        parts = line.split("\t", 2)
        if len(parts) == 3 and parts[0].strip().endswith(":"):
            text = re.sub(r" (//|<|;).*", "", parts[2].replace("\t", " ")).strip()
            texts[index] = (int(parts[0].strip()[:-1], 16), text)
            index += 1
    assert index == len(words)
    result, index = [], 0
    for words, _ in cases:
        part = []
        for offset, word in enumerate(words):
            at, text = texts[index]
            index += 1
            # Addresses are relative to where objdump saw the instruction.
            def moved(match):
                return "0x%x" % ((int(match.group(), 16) - at + CODE + 4 * offset) & (2 ** 64 - 1))
            if re.match(r"(b|bl|b\.\w+|cbn?z|tbn?z|adrp?|prfm|ldrs?w?) ", text) and "[" not in text:
                if text.startswith("adrp"):
                    page = (int(text.split("0x")[1], 16) - (at & ~0xFFF) + CODE) & (2 ** 64 - 1)
                    text = re.sub(r"0x[0-9a-f]+$", "0x%x" % page, text)
                else:
                    text = re.sub(r"0x[0-9a-f]+$", moved, text)
            part.append(text)
        result.append("; ".join(part))
    return result


def is_open(name, bits, text, result):
    """True if the manual leaves the result open, or objdump's text is of an older version of it."""
    if name[:3] == "ldp" or name[:4] in ("ldnp", "ldxp") or name[:5] == "ldaxp":
        if field(bits, 0) == field(bits, 10):
            return True
    unknown = ".inst" in text and (result != "illegal" or "np_vec" in name or "p_vec" in name)
    return unknown or re.match(r"prfu?m #|mov w?sp, #", text)


def rows_of(group, count, seed, program):
    rng = random.Random("%s %s" % (group, seed))
    lines = []
    for name, pattern in table(group):
        cases = [case(group, name, pattern, rng) for _ in range(4 * count)]
        results = execute(program, cases)
        texts = disassemble(cases)
        chosen, traps = [], 0
        for (words, state), result, text in zip(cases, results, texts):
            if is_open(name, words[-1], text, result):
                continue
            trapped = result.split(" ")[0] in ("illegal", "fault", "misaligned", "trap")
            traps += trapped
            if len(chosen) == count or (trapped and traps > 1 + count // 10):
                continue
            code = " ".join("%02x" % byte for word in words for byte in word.to_bytes(4, "little"))
            items = "".join(" %s=%#x" % item for item in state.items())
            chosen.append('%08x [%s] "%s"%s => %s' % (CODE, code, text, items, result))
        lines.append("\n# " + name)
        lines += [line.rstrip() for line in chosen]
    return lines


def main():
    program = build()
    if len(sys.argv) > 2:
        seed = sys.argv[3] if len(sys.argv) > 3 else "1"
        print("\n".join(rows_of(sys.argv[1], int(sys.argv[2]), seed, program)))
        return
    for group in ("integer", "branch", "memory", "atomic"):
        head = "# Made by generate.py from QEMU's behaviour: instances of every row of lift/%s.rs." % group
        lines = rows_of(group, 6, "files", program)
        open(os.path.join(HERE, group + ".ins"), "w").write("\n".join([head] + lines) + "\n")


main()
