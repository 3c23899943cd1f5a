//! What is timed of real programs: Debian's, from the root that `tests/debian/run.sh` makes, with enough to do that their
//! start does not count.

use crate::measure::{Engine, Sample};
use crate::{Bench, in_root, probes, scratch, table};
use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A program at work.
pub(crate) struct Program {
    /// The case's name.
    pub(crate) name: &'static str,
    /// Below the root, and below `/` where it is native.
    path: &'static str,
    /// `WORK` stands for a number, `FILE` for a file of so many KiB.
    arguments: &'static [&'static str],
    /// The number that takes QEMU a second or more.
    work: u32,
}

const fn program(name: &'static str, path: &'static str, arguments: &'static [&'static str], work: u32) -> Program {
    Program { name, path, arguments, work }
}

/// Recursive calls, strings, tables and closures.
const LUA: &str = "
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
local sum = 0
for round = 1, WORK do
    sum = sum + fib(18)
    local words = {}
    for i = 1, 2000 do words[i] = string.format('%d', i * 7919 % 10007) end
    table.sort(words)
    local count = {}
    for _, word in ipairs(words) do local key = word:sub(1, 2); count[key] = (count[key] or 0) + 1 end
    sum = sum + count['10'] + #table.concat(words, ' ')
end
print(sum)";

/// Inserts, an index, a join and an aggregation, in memory.
const SQLITE: &str = "
CREATE TABLE t(a INTEGER PRIMARY KEY, b INTEGER, c TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < WORK)
INSERT INTO t SELECT i, i * 7919 % 10007, printf('row %d', i) FROM n;
CREATE INDEX tb ON t(b);
SELECT count(*), sum(length(x.c)) FROM t x JOIN t y ON x.b = y.a;
SELECT b % 10, count(*), max(c) FROM t GROUP BY b % 10 ORDER BY 1;
UPDATE t SET c = upper(c) WHERE b BETWEEN 100 AND 5000;
SELECT sum(length(c)), max(c) FROM t WHERE c LIKE 'ROW 1%';";

/// Objects, dictionaries, strings, sorting and integers.
const PYTHON: &str = "
class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y
    def moved(self, by):
        return Point(self.x + by, self.y - by)
total = 0
for round in range(WORK):
    points = [Point(i, i * 7919 % 1009) for i in range(1000)]
    points = sorted((point.moved(round) for point in points), key=lambda point: point.y)
    count = {}
    for point in points:
        key = str(point.y)[:2]
        count[key] = count.get(key, 0) + point.x
    total += sum(count.values()) + len(' '.join(count))
print(total)";

/// Regular expressions, hashes and sorting.
const PERL: &str = "
my ($sum, $seed) = (0, 1);
for my $round (1 .. WORK) {
    my %count;
    for my $i (1 .. 2000) {
        $seed = ($seed * 1103515245 + 12345) % 2147483648;
        my $line = \"user$seed: value=\" . ($seed % 977) . ' end';
        if ($line =~ /^user(\\d+): value=(\\d+)\\b/) { $count{$2} += $1 % 13; }
    }
    $sum += $count{$_} * length for sort { $a <=> $b } keys %count;
}
print \"$sum\\n\";";

/// All programs.
pub(crate) const PROGRAMS: &[Program] = &[
    program("lua", "usr/bin/lua5.4", &["-e", LUA], 120),
    program("sqlite", "usr/bin/sqlite3", &[":memory:", SQLITE], 60_000),
    program("python", "usr/bin/python3", &["-S", "-c", PYTHON], 120),
    program("perl", "usr/bin/perl", &["-e", PERL], 60),
    program("gzip", "bin/gzip", &["-nc", "FILE"], 10_000),
    program("gunzip", "bin/gzip", &["-dc", "FILE.gz"], 60_000),
    program("bzip2", "bin/bzip2", &["-c", "FILE"], 4_000),
    program("xz", "usr/bin/xz", &["-c", "-2", "-T1", "FILE"], 2_500),
    program("openssl-sha256", "usr/bin/openssl", &["dgst", "-sha256", "-r", "FILE"], 100_000),
    program(
        "openssl-aes",
        "usr/bin/openssl",
        &[
            "enc",
            "-aes-128-cbc",
            "-K",
            "00112233445566778899aabbccddeeff",
            "-iv",
            "0f",
            "-in",
            "FILE",
            "-out",
            "/dev/null",
        ],
        100_000,
    ),
    // The number of checks is its own choice, so there is no work to multiply.
    program("openssl-prime", "usr/bin/openssl", &["prime", "-hex", PRIME, PRIME, PRIME, PRIME, PRIME, PRIME], 1),
];

/// A prime number (that of the 1024-bit MODP group of RFC 2409), which takes all checks.
const PRIME: &str = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3\
CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6492866\
51ECE65381FFFFFFFFFFFFFFFF";

impl Program {
    /// The commands that run it natively, under Spile and under QEMU. `None` if it is not in the guests' root.
    pub(crate) fn engines(&self, bench: &Bench<'_>, scale: f64) -> Result<Option<[Option<Engine>; 3]>, String> {
        let Some(guest) = self.guest(bench, scale)? else { return Ok(None) };
        let arguments = self.arguments(scale)?;
        let native = Path::new("/").join(self.path);
        let native = native.exists().then(|| Engine::new(native, &arguments));
        let [spile, qemu] = [bench.spile(&[]), bench.qemu()].map(|engine| engine.map(|engine| engine.and(&guest)));
        Ok(Some([native, spile, qemu]))
    }

    /// The words behind an engine that run it. `None` if it is not in the guests' root.
    fn guest(&self, bench: &Bench<'_>, scale: f64) -> Result<Option<Vec<OsString>>, String> {
        let (Some(root), Some(program)) = (bench.root(), bench.program(self.path)) else { return Ok(None) };
        Ok(Some(in_root(root, &program, &self.arguments(scale)?)))
    }

    /// Returns its arguments for `scale` times the usual work, and makes the files that they name.
    fn arguments(&self, scale: f64) -> Result<Vec<OsString>, String> {
        let work = (f64::from(self.work) * scale).max(1.0) as u64;
        self.arguments.iter().map(|text| argument(text, work)).collect()
    }
}

/// Names of the cases.
pub(crate) fn names() -> Vec<&'static str> {
    PROGRAMS.iter().map(|program| program.name).collect()
}

/// Times the programs under all engines.
pub(crate) fn run(bench: &Bench<'_>) -> Result<String, String> {
    let mut rows = Vec::new();
    for program in PROGRAMS.iter().filter(|program| bench.wants(program.name)) {
        let scale = bench.options.scale;
        let Some([native, spile, qemu]) = program.engines(bench, scale)? else { continue };
        let cached = program.guest(bench, scale)?.map(|guest| bench.spile_cached(&guest)).transpose()?.flatten();
        let samples = bench.time(program.name, &[&native, &spile, &qemu, &cached])?;
        bench.draw("programs", program.name, table::medians(&samples, 2, 1));
        rows.push((program.name, samples));
    }
    let about = "Debian's packages at work; native is the host's own package of the same name. \
                 *Cached* is with the translation cache on disk, after some runs that have filled it.";
    Ok(table::engines("Real programs", about, "program", &rows, true))
}

/// What is counted of the programs: it is cheap only where code is hot, and programs have much that is not.
const COUNTED: &str = "on insn count";

/// Times the programs with a probe at every instruction against QEMU without any.
pub(crate) fn run_counted(bench: &Bench<'_>) -> Result<String, String> {
    let about =
        format!("The same programs with {} under Spile, and without any probe under QEMU.", probes::cell(COUNTED));
    let columns = ["program", "QEMU, s", "QEMU / Spile", "by the best runs", "Spile / without", "spread", "Spile, MiB"];
    let mut text = table::begin("Real programs, counted", &about, &columns);
    let output = scratch("probe-output");
    let output = output.to_string_lossy();
    for program in PROGRAMS.iter().filter(|program| bench.wants(program.name)) {
        let Some(guest) = program.guest(bench, bench.options.scale)? else { continue };
        let engines = [bench.qemu(), bench.spile(&[]), bench.spile(&["-o", &output, "-e", COUNTED])];
        let [qemu, plain, counted] = engines.map(|engine| engine.map(|engine| engine.and(&guest)));
        let samples = bench.time(&format!("{}, {COUNTED}", program.name), &[&qemu, &plain, &counted])?;
        let best = table::ratio(table::of(&samples, 0, Sample::best), table::of(&samples, 2, Sample::best));
        let mut cells = vec![program.name.to_owned(), table::seconds(table::of(&samples, 0, Sample::median))];
        cells.extend([table::medians(&samples, 0, 2), best, table::medians(&samples, 2, 1)].map(table::times));
        cells.extend([table::spread(&samples), table::memory(&samples, 2)]);
        table::row(&mut text, &cells);
    }
    Ok(text + "\n")
}

fn argument(text: &str, work: u64) -> Result<OsString, String> {
    match text {
        "FILE" => input(work).map(PathBuf::into_os_string),
        "FILE.gz" => compressed(work).map(PathBuf::into_os_string),
        _ => Ok(text.replace("WORK", &work.to_string()).into()),
    }
}

/// A text of so many KiB, the same on every machine: words of a vocabulary in which some are much more frequent.
pub(crate) fn input(kib: u64) -> Result<PathBuf, String> {
    let path = crate::scratch(&format!("input-{kib}"));
    let is_there = std::fs::metadata(&path).is_ok_and(|file| file.len() == kib * 1024);
    if !is_there {
        write_text(&path, kib * 1024).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(path)
}

fn write_text(path: &Path, bytes: u64) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let words: Vec<String> = (0..4096)
        .map(|_| (0..2 + random() % 9).map(|_| char::from(b'a' + (random() * random() % 26) as u8)).collect())
        .collect();
    let mut left = bytes as usize;
    while left > 0 {
        // The product of two numbers makes small indices frequent.
        let word = &words[(random() % 4096 * (random() % 4096) / 4096) as usize];
        let end = if random() % 11 == 0 { '\n' } else { ' ' };
        let text = format!("{word}{end}");
        let part = &text.as_bytes()[..text.len().min(left)];
        out.write_all(part)?;
        left -= part.len();
    }
    out.flush()
}

/// The same text, as the host's `gzip` compresses it.
fn compressed(kib: u64) -> Result<PathBuf, String> {
    let (plain, path) = (input(kib)?, crate::scratch(&format!("input-{kib}.gz")));
    let is_there = std::fs::metadata(&path).is_ok_and(|file| file.len() > 0);
    if !is_there {
        let fails = |error: std::io::Error| format!("cannot make {}: {error}", path.display());
        let out = std::fs::File::create(&path).map_err(fails)?;
        let status = std::process::Command::new("gzip").args(["-nc"]).arg(plain).stdout(out).status().map_err(fails)?;
        if !status.success() {
            let _ = std::fs::remove_file(&path);
            return Err(format!("gzip ended with {status}"));
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_stands_in_the_arguments() {
        let lua = &PROGRAMS[0];
        let all = lua.arguments(2.0).unwrap();
        assert_eq!(all[0], "-e");
        assert!(all[1].to_string_lossy().contains("round = 1, 240 do"));
    }

    #[test]
    fn inputs_have_their_size_and_repeat_themselves() {
        let path = crate::scratch("test-input");
        let make = || {
            write_text(&path, 5000).unwrap();
            std::fs::read(&path).unwrap()
        };
        let (first, second) = (make(), make());
        assert!(first.len() == 5000 && first == second && first.is_ascii());
    }
}
