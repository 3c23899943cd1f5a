//! Spile with probes against Spile without.

use crate::kernels::KERNELS;
use crate::measure::{Sample, Samples};
use crate::{Bench, table};

/// Probe sentences; `KERNEL` stands for the function that does the work.
const PROBES: &[&str] = &[
    "on insn count",
    "on block count",
    "on insn in KERNEL count by insn.mnemonic",
    "on insn at KERNEL count by func into @calls",
    "on insn in KERNEL count by arg0 & 63 into @arguments",
    "on access hist size",
    "on insn in KERNEL when arg0 == 0x123456789abcdef0 print \"never\"",
    "on insn in KERNEL when arg0 == 0x123456789abcdef0 write arg0 = 1",
    "on insn \"ld*\" in KERNEL when arg1 == 0x123456789abcdef0 optional write arg0 = 1",
];

/// Names of the cases.
pub(crate) fn names() -> Vec<&'static str> {
    KERNELS.iter().filter(|kernel| kernel.with_probes).map(|kernel| kernel.name).collect()
}

/// Times kernels with each of the probes.
pub(crate) fn run(bench: &Bench<'_>) -> Result<String, String> {
    let about = "Time with the probe, as a multiple of Spile's time without.";
    let mut text = table::begin("Probes", about, &["kernel", "probe", "time", "spread"]);
    for kernel in KERNELS.iter().filter(|kernel| kernel.with_probes && bench.wants(kernel.name)) {
        for probe in PROBES {
            let probe = probe.replace("KERNEL", kernel.symbol);
            let engines =
                [&[][..], &["-e", &probe]].map(|more| kernel.under(bench, bench.spile(more), bench.options.scale));
            let samples = bench.time(&format!("{}, {probe}", kernel.name), &[&engines[0], &engines[1]])?;
            let cells = [kernel.name.to_owned(), cell(&probe), time(&samples), table::spread(&samples)];
            table::row(&mut text, &cells);
        }
    }
    Ok(text + "\n")
}

/// A probe as a cell of a table.
pub(crate) fn cell(probe: &str) -> String {
    format!("`{}`", probe.replace('|', "\\|"))
}

fn time(samples: &Samples) -> String {
    let [plain, probed] = [0, 1].map(|index| table::of(samples, index, Sample::median));
    table::times(table::ratio(probed, plain))
}
