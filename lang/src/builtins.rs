//! The tables of builtin variables and functions: what the checker accepts and what the reference prints.
//!
//! Registers are not here: they come from the [`crate::target::Target`].

use crate::ir::{Builtin, Fact};
use crate::types::Type;

/// A builtin variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name; parts of an instruction or a block have a dot in it.
    pub name: &'static str,
    /// What it is in the IR; `None` for an alias of a register.
    pub value: Option<Builtin>,
    /// Its type.
    pub ty: Type,
    /// It depends on the instruction only, and costs nothing at run time.
    pub is_static: bool,
    /// The events in whose probes it exists; empty for all.
    pub events: &'static [&'static str],
    /// What it is, as one phrase.
    pub doc: &'static str,
    /// A probe that uses it.
    pub example: &'static str,
}

/// A builtin function.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The parameters, as in `p [, max]`.
    pub params: &'static str,
    /// Fewest arguments.
    pub least: usize,
    /// Most arguments.
    pub most: usize,
    /// Type of the result, in words.
    pub result: &'static str,
    /// What it computes, as one phrase.
    pub doc: &'static str,
    /// An expression that uses it.
    pub example: &'static str,
}

const CODE: &[&str] =
    &["insn", "block", "line", "branch", "every", "trap", "mark", "read", "write", "access", "call", "return"];
/// Events at places in functions.
const VARIABLES_OF: &[&str] = &["insn", "block", "line", "branch", "call", "return"];
/// Events at which a thread is somewhere in its code.
const STACKS: &[&str] = &[
    "insn", "block", "line", "branch", "every", "signal", "trap", "mark", "read", "write", "access", "call", "return",
    "syscall", "output",
];
const ACCESS: &[&str] = &["read", "write", "access"];
const CALLS: &[&str] = &["call", "return"];
const SYSCALL: &[&str] = &["syscall"];
const SIGNAL: &[&str] = &["signal"];
const TRAP: &[&str] = &["trap"];
const OUTPUT: &[&str] = &["output"];
const BRANCH: &[&str] = &["branch"];
const ENDS: &[&str] = &["end", "exit"];

const fn dynamic(name: &'static str, value: Builtin, ty: Type, doc: &'static str, example: &'static str) -> Variable {
    Variable { name, value: Some(value), ty, is_static: false, events: &[], doc, example }
}

const fn fixed(name: &'static str, value: Builtin, ty: Type, doc: &'static str, example: &'static str) -> Variable {
    Variable { is_static: true, ..dynamic(name, value, ty, doc, example) }
}

const fn only(events: &'static [&'static str], variable: Variable) -> Variable {
    Variable { events, ..variable }
}

const fn alias(name: &'static str, doc: &'static str, example: &'static str) -> Variable {
    Variable { value: None, ..dynamic(name, Builtin::Pc, Type::Word, doc, example) }
}

const U32: Type = Type::Int { bits: 32, signed: false };

/// All builtin variables.
pub const VARIABLES: &[Variable] = &[
    fixed("pc", Builtin::Pc, Type::CodeAddr, "address of this instruction", "on block count by pc"),
    only(
        &["insn"],
        dynamic(
            "next",
            Builtin::Next,
            Type::CodeAddr,
            "where execution goes on; `after insn` only",
            "after insn \"b*\" count by next",
        ),
    ),
    alias("sp", "stack pointer", "on insn at main print sp"),
    alias("lr", "return address register", "on insn at main print lr"),
    alias("ra", "return address register", "on insn at main print ra"),
    alias("arg0", "first integer argument at a function's entry", "on insn at malloc print arg0"),
    alias("arg1", "second integer argument", "on insn at memcpy print arg1"),
    alias("arg2", "third integer argument", "on insn at memcpy print arg2"),
    alias("arg3", "fourth integer argument", "on insn at mmap print arg3"),
    alias("arg4", "fifth integer argument", "on insn at mmap print arg4"),
    alias("arg5", "sixth integer argument", "on insn at mmap print arg5"),
    alias("arg6", "seventh integer argument", "on insn at syscall print arg6"),
    alias("arg7", "eighth integer argument", "on insn at syscall print arg7"),
    fixed(
        "func",
        Builtin::Func,
        Type::Str,
        "name of the function that contains pc, or the empty string",
        "on block count by func",
    ),
    fixed("module", Builtin::Module, Type::Str, "file name of the module that contains pc", "on block count by module"),
    fixed("section", Builtin::Section, Type::Str, "name of the section that contains pc", "on block count by section"),
    only(
        CODE,
        fixed(
            "file",
            Builtin::File,
            Type::Str,
            "path of the source file of pc, or the empty string",
            "on block count by file",
        ),
    ),
    only(
        CODE,
        fixed("line", Builtin::Line, Type::U64, "source line of pc, or 0", "on line in \"main.c\" count by line"),
    ),
    dynamic("icount", Builtin::Icount, Type::U64, "instructions that this thread has executed", "on end print icount"),
    dynamic(
        "icount_all",
        Builtin::IcountAll,
        Type::U64,
        "instructions that all threads of the process have executed; while others run beside this one, theirs are a few \
         thousand old at most, with `--deterministic` and in `end` all are exact",
        "on end print icount_all",
    ),
    dynamic(
        "hits",
        Builtin::Hits,
        Type::U64,
        "how often this probe has fired, this time included",
        "on insn at main print hits",
    ),
    dynamic("probe", Builtin::ProbeName, Type::Str, "name of this probe", "on insn at main print probe"),
    dynamic("tid", Builtin::Tid, Type::U64, "guest thread", "on block count by tid"),
    dynamic("pid", Builtin::Pid, Type::U64, "guest process", "on begin print pid"),
    dynamic("now", Builtin::Now, Type::U64, "nanoseconds since the run began", "on end print \"{now:ms}\""),
    only(ENDS, dynamic("status", Builtin::Status, Type::I64, "exit status", "on end print status")),
    only(
        &["after call", "on return"],
        alias(
            "retval",
            "the function's result: by its type if debug information tells it, else as its register holds it",
            "after call malloc print retval",
        ),
    ),
    only(
        STACKS,
        dynamic(
            "caller",
            Builtin::Caller,
            Type::CodeAddr,
            "the address that this function returns to; outside `call` and `return` that of the second entry of `stack`, or 0",
            "on call malloc count by caller",
        ),
    ),
    only(
        CALLS,
        dynamic(
            "depth",
            Builtin::Depth,
            Type::U64,
            "how many calls of functions that the script's `call` and `return` probes name are open around this one",
            "on call * when depth < 4 trace",
        ),
    ),
    only(
        &["after call", "on return", "after syscall"],
        dynamic(
            "elapsed",
            Builtin::Elapsed,
            Type::U64,
            "instructions that this thread has executed since the function's entry; nanoseconds that the system call took",
            "after call malloc hist elapsed",
        ),
    ),
    only(
        CODE,
        fixed("insn", Builtin::InsnText, Type::Str, "the instruction, disassembled", "on insn at main print insn"),
    ),
    only(
        CODE,
        fixed(
            "insn.text",
            Builtin::InsnText,
            Type::Str,
            "the instruction, disassembled",
            "on insn when insn.text =~ \"*sp*\" trace",
        ),
    ),
    only(
        CODE,
        fixed("insn.mnemonic", Builtin::InsnMnemonic, Type::Str, "its mnemonic", "on insn count by insn.mnemonic"),
    ),
    only(
        CODE,
        fixed("insn.size", Builtin::InsnSize, Type::U64, "its size in bytes", "on insn when insn.size == 2 count"),
    ),
    only(
        CODE,
        fixed(
            "insn.addr",
            Builtin::InsnAddr,
            Type::CodeAddr,
            "its address, the same as pc",
            "on insn at main print insn.addr",
        ),
    ),
    only(
        CODE,
        fixed(
            "insn.bits",
            Builtin::InsnBits,
            U32,
            "its encoding as fetched",
            "on insn at main print \"{insn.bits:#010x}\"",
        ),
    ),
    only(
        CODE,
        fixed(
            "insn.target",
            Builtin::InsnTarget,
            Type::CodeAddr,
            "target of a direct branch, else 0",
            "on insn \"bl\" count by insn.target",
        ),
    ),
    only(
        CODE,
        fixed(
            "insn.is_call",
            Builtin::InsnIsCall,
            Type::Bool,
            "true for calls",
            "on insn when insn.is_call count by func",
        ),
    ),
    only(
        CODE,
        fixed(
            "insn.is_return",
            Builtin::InsnIsReturn,
            Type::Bool,
            "true for returns",
            "on insn when insn.is_return count by func",
        ),
    ),
    only(
        CODE,
        fixed(
            "insn.is_branch",
            Builtin::InsnIsBranch,
            Type::Bool,
            "true for branches of all kinds",
            "on insn when insn.is_branch count by func",
        ),
    ),
    only(
        CODE,
        fixed(
            "insn.is_load",
            Builtin::InsnIsLoad,
            Type::Bool,
            "true if it reads memory",
            "on insn when insn.is_load count by func",
        ),
    ),
    only(
        CODE,
        fixed(
            "insn.is_store",
            Builtin::InsnIsStore,
            Type::Bool,
            "true if it writes memory",
            "on insn when insn.is_store count by func",
        ),
    ),
    only(
        CODE,
        fixed(
            "insn.reads",
            Builtin::InsnReads,
            Type::Str,
            "names of the registers that it reads, in the order of its text: `x1, x2`; `nzcv` for flags",
            "on insn in main when insn.reads =~ /\\bx0\\b/ print insn",
        ),
    ),
    only(
        CODE,
        fixed(
            "insn.writes",
            Builtin::InsnWrites,
            Type::Str,
            "names of the registers that it writes, in the order of its text",
            "on insn in main count by insn.writes",
        ),
    ),
    only(
        CODE,
        dynamic(
            "insn.src",
            Builtin::InsnSrc,
            Type::Word,
            "what the first register of `insn.reads` holds, the whole register; no value if there is none",
            "on insn \"blr\" print insn.src",
        ),
    ),
    only(
        &["insn"],
        dynamic(
            "insn.dst",
            Builtin::InsnDst,
            Type::Word,
            "what the first register of `insn.writes` holds, the whole register; no value if there is none",
            "after insn \"ldr\" print insn.dst",
        ),
    ),
    only(
        &["block"],
        fixed("block.addr", Builtin::BlockAddr, Type::CodeAddr, "the block's address", "on block count by block.addr"),
    ),
    only(
        &["block"],
        fixed("block.size", Builtin::BlockSize, Type::U64, "its size in bytes", "on block sum block.size"),
    ),
    only(
        &["block"],
        fixed(
            "block.len",
            Builtin::BlockLen,
            Type::U64,
            "its number of instructions",
            "on block sum block.len by func",
        ),
    ),
    only(
        &["read", "write", "access", "signal", "trap"],
        dynamic(
            "addr",
            Builtin::AccessAddr,
            Type::Word,
            "accessed address; the address that a signal or an exception is about, or 0",
            "on access count by addr",
        ),
    ),
    only(
        &["read", "write", "access", "load"],
        dynamic(
            "size",
            Builtin::AccessSize,
            Type::U64,
            "size in bytes of the access, or of the module in memory",
            "on access hist size",
        ),
    ),
    only(
        ACCESS,
        dynamic(
            "value",
            Builtin::AccessValue,
            Type::Word,
            "value that is stored or loaded, which can be written before a store and after a load",
            "after read at counter print value",
        ),
    ),
    only(
        &["write"],
        dynamic(
            "old",
            Builtin::AccessOld,
            Type::Word,
            "what was there before the store",
            "after write at counter print \"{old} -> {value}\"",
        ),
    ),
    only(
        &["access"],
        dynamic("is_write", Builtin::AccessIsWrite, Type::Bool, "true for a store", "on access count by is_write"),
    ),
    only(
        BRANCH,
        dynamic(
            "target",
            Builtin::BranchTarget,
            Type::CodeAddr,
            "where control goes: to the next instruction if a conditional branch is not taken",
            "on branch in main count by pc, target",
        ),
    ),
    only(
        BRANCH,
        dynamic(
            "taken",
            Builtin::BranchTaken,
            Type::Bool,
            "false for a conditional branch that goes on with the next instruction",
            "on branch when not taken count by pc",
        ),
    ),
    only(
        BRANCH,
        fixed(
            "kind",
            Builtin::BranchKind,
            Type::Str,
            "`jump`, `conditional`, `indirect jump`, `call`, `indirect call` or `return`",
            "on branch count by kind",
        ),
    ),
    only(
        OUTPUT,
        dynamic(
            "text",
            Builtin::Fact(Fact::Text),
            Type::Str,
            "the line, without its end",
            "on output \"*error*\" print text",
        ),
    ),
    only(
        OUTPUT,
        dynamic(
            "source",
            Builtin::Fact(Fact::Source),
            Type::Str,
            "where the line was written: `stdout` or `stderr`",
            "on output \"*\" count by source",
        ),
    ),
    only(
        &["load"],
        dynamic(
            "base",
            Builtin::Fact(Fact::Base),
            Type::Word,
            "address at which the module begins",
            "on load * print name, base, size",
        ),
    ),
    only(
        SYSCALL,
        dynamic("nr", Builtin::SyscallNumber, Type::U64, "number of the system call", "on syscall * count by nr"),
    ),
    only(
        &["syscall", "signal", "load", "mark"],
        dynamic(
            "name",
            Builtin::SyscallName,
            Type::Str,
            "name of the system call, or its number if it has none; name of the signal, the module or the mark",
            "on syscall * count by name",
        ),
    ),
    only(
        SIGNAL,
        dynamic("sig", Builtin::Fact(Fact::Number), Type::U64, "number of the signal", "on signal * print sig"),
    ),
    only(
        SIGNAL,
        dynamic(
            "code",
            Builtin::Fact(Fact::Code),
            Type::I64,
            "why the signal was sent, as `si_code` in sigaction(2)",
            "on signal sigsegv when code == 1 print addr",
        ),
    ),
    only(
        TRAP,
        dynamic(
            "cause",
            Builtin::Fact(Fact::Cause),
            Type::Str,
            "why the instruction cannot be executed: `segv`, `illegal` …",
            "on trap * count by cause, pc",
        ),
    ),
    only(
        &["insn", "block", "line", "branch", "call", "return", "syscall"],
        dynamic(
            "args",
            Builtin::SyscallArguments,
            Type::Str,
            "all arguments, of a function or a system call; `args.NAME` is one of them, which can be written at its \
             beginning",
            "on syscall openat print args.dirfd, args",
        ),
    ),
    only(
        SYSCALL,
        alias(
            "ret",
            "the system call's result, which can be written; `after syscall` only",
            "after syscall * print ret",
        ),
    ),
    only(
        VARIABLES_OF,
        alias(
            "vars",
            "the local variables in scope, by name, from debug information",
            "on insn at main.c:42 print vars.i",
        ),
    ),
    alias("sym", "the program's variables, by name, from debug information", "on insn at main print sym.counter"),
    Variable {
        value: None,
        ..dynamic(
            "thread",
            Builtin::Tid,
            Type::U64,
            "`thread.NAME`: a value of your own that each guest thread has for itself; 0 at first",
            "on insn at main { thread.n += 1; print thread.n }",
        )
    },
    only(
        CALLS,
        dynamic(
            "call",
            Builtin::Activation,
            Type::U64,
            "`call.NAME`: a value of your own that each call of a function has for itself, until it has returned; 0 at first",
            "on call f { call.t0 = icount; print call.t0 }",
        ),
    ),
    only(
        STACKS,
        dynamic(
            "stack",
            Builtin::Stack,
            Type::Stack,
            "the calls that the thread is in, the innermost first, at most 127; `stack(n)` for another number",
            "on call free count by stack",
        ),
    ),
    fixed(
        "cpu",
        Builtin::Cpu,
        Type::U64,
        "number of the processor: 0, as programs have no say in which one they run on",
        "on insn at main when cpu == 0 trace",
    ),
    fixed(
        "mode",
        Builtin::Mode,
        Type::Str,
        "mode of the processor: `user`, as programs and images run in no other",
        "on trap * when mode == \"user\" trace",
    ),
];

const fn function_row(
    name: &'static str,
    params: &'static str,
    counts: (usize, usize),
    result: &'static str,
    doc: &'static str,
    example: &'static str,
) -> Function {
    Function { name, params, least: counts.0, most: counts.1, result, doc, example }
}

/// All builtin functions.
pub const FUNCTIONS: &[Function] = &[
    function_row(
        "str",
        "p [, max]",
        (1, 2),
        "str",
        "the NUL-terminated guest string at p, at most max bytes (default 1024)",
        "str(x0)",
    ),
    function_row("bytes", "p, n", (2, 2), "bytes", "n bytes of guest memory at p", "bytes(sp, 16)"),
    function_row("hex", "x", (1, 1), "str", "x in hexadecimal", "hex(x0)"),
    function_row("sym", "addr", (1, 1), "str", "the symbol at or before an address, with the offset", "sym(lr)"),
    function_row("disas", "addr", (1, 1), "str", "the instruction at an address, disassembled", "disas(pc + 4)"),
    function_row("line", "addr", (1, 1), "str", "the source line of an address, as `main.c:42`", "line(lr)"),
    function_row("len", "s", (1, 1), "u64", "length of a text or of bytes", "len(str(x0))"),
    function_row("abs", "x", (1, 1), "as x", "absolute value", "abs(x0 as i64)"),
    function_row("min", "a, b", (2, 2), "as a and b", "the smaller one", "min(x0, 64)"),
    function_row("max", "a, b", (2, 2), "as a and b", "the larger one", "max(x0, 64)"),
    function_row("popcount", "x", (1, 1), "u64", "number of bits that are 1", "popcount(x0)"),
    function_row("bswap", "x", (1, 1), "as x", "bytes in the opposite order, in the width of x", "bswap(w0)"),
    function_row("bit", "x, n", (2, 2), "u64", "bit n of x", "bit(x0, 63)"),
    function_row("bits", "x, a..b as a, b", (3, 3), "u64", "bits a to b of x, b excluded", "bits(x0, 4, 8)"),
    function_row("sext", "x, n", (2, 2), "i64", "the low n bits of x, sign-extended", "sext(x0, 32)"),
    function_row("readable", "p, n", (2, 2), "bool", "true if n bytes at p can be read", "readable(x0, 8)"),
    function_row("has", "@m, k", (1, 9), "bool", "true if the map has the key", "has(@seen, x0)"),
    function_row("errno", "n", (1, 1), "str", "name of an error number, of either sign", "errno(x0)"),
    function_row("syscall_name", "n", (1, 1), "str", "name of a system call", "syscall_name(x8)"),
    function_row(
        "rand",
        "n",
        (1, 1),
        "u64",
        "a number from 0 to n - 1, the same in every run with the same seed",
        "rand(64)",
    ),
    function_row("param", "\"name\"", (1, 1), "as the parameter", "value of a parameter", "param(\"nth\")"),
    function_row("stack", "n", (1, 1), "stack", "the innermost n entries of `stack`, 1 to 1024", "stack(5)"),
];

/// Finds a variable by its name.
pub fn variable(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

/// Finds a function by its name.
pub fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (i, row) in VARIABLES.iter().enumerate() {
            assert!(VARIABLES[..i].iter().all(|other| other.name != row.name), "{}", row.name);
        }
        for (i, row) in FUNCTIONS.iter().enumerate() {
            assert!(FUNCTIONS[..i].iter().all(|other| other.name != row.name), "{}", row.name);
        }
    }
}
