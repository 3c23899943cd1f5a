//! The stable codes of diagnostics: for each one a page with what it means, a script that gives it, and the same
//! script repaired. `spile explain` and the reference print them.
//!
//! The diagnostics themselves, with what they say of a particular script, are made where the mistake is found; that
//! each of their codes has a page here, and each page a code, is tested in `lang/tests/codes.rs`.

use crate::suggest::nearest;
use std::fmt::Write as _;

/// What must happen for a code to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Checking the script is enough.
    Script,
    /// It is given for a script and a program together.
    Program,
    /// It is given while the program runs, or at its end.
    Run,
    /// It depends on the command line, or on what is in the file.
    Command,
}

impl Given {
    /// As a phrase.
    pub fn text(self) -> &'static str {
        match self {
            Given::Script => "by the script alone",
            Given::Program => "by a script for a program that it does not fit",
            Given::Run => "while the program runs, or at its end",
            Given::Command => "by the command line, or by what the file holds",
        }
    }
}

/// What a code means.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The code: `E0103`.
    pub code: &'static str,
    /// What is wrong, in one line.
    pub title: &'static str,
    /// What it means and what to do, in sentences.
    pub text: &'static str,
    /// A script that gives it.
    pub wrong: &'static str,
    /// The script repaired.
    pub right: &'static str,
    /// When it is given.
    pub given: Given,
}

const fn page(
    code: &'static str,
    title: &'static str,
    text: &'static str,
    wrong: &'static str,
    right: &'static str,
) -> Page {
    Page { code, title, text, wrong, right, given: Given::Script }
}

const fn given(given: Given, page: Page) -> Page {
    Page { given, ..page }
}

use Given::{Command, Program, Run};

/// All pages, by code.
pub const TABLE: &[Page] = &[
    // ---- what cannot be read
    page(
        "E0100",
        "this is not the beginning of a probe",
        "A script is a list of probes, each beginning with `on`, `before` or `after`, and of definitions: `const`, `param`, \
         `fn`, `struct`, `let @name`. A statement outside a probe never happens: say when it does. Probes of bpftrace and \
         DTrace and commands of debuggers have their counterparts here, which the message names.",
        "print x0",
        "on insn at main print x0",
    ),
    page(
        "E0101",
        "there is no such event",
        "The word after `on`, `before` or `after` is an event: an instruction, a call, a system call … The name of a function \
         is a place and follows the event.",
        "on functions main trace",
        "on call main trace",
    ),
    page(
        "E0102",
        "no statement begins with this word",
        "What a probe does begins with a verb. A value alone does nothing: `print` shows it.",
        "on insn at main wriet x0 = 5",
        "on insn at main write x0 = 5",
    ),
    page(
        "E0103",
        "`=` and `==` are mixed up",
        "`=` assigns and stands in `write`, `let` and assignments; `==` compares and stands in conditions.",
        "on insn at main when x0 = 5 trace",
        "on insn at main when x0 == 5 trace",
    ),
    page(
        "E0104",
        "`return` has no value",
        "`return` makes the function of the guest return at once, so it needs the value that it returns, or `void`. To leave \
         the probe body there is `next`.",
        "on call main { if arg0 == 0 { return } trace }",
        "on call main { if arg0 == 0 { next } trace }",
    ),
    page(
        "E0105",
        "a change of the guest needs the verb `write`",
        "Registers and memory belong to the guest. What changes them stands out: `write x0 = 5`. Variables of the script are \
         assigned without it.",
        "on insn at main x0 = 5",
        "on insn at main write x0 = 5",
    ),
    page(
        "E0106",
        "two statements on one line have nothing between them",
        "Statements end with the line or with `;`.",
        "on insn at main { write x0 = 1 print x0 }",
        "on insn at main { write x0 = 1; print x0 }",
    ),
    page(
        "E0107",
        "this is nested too deep, or grows too large",
        "Expressions and blocks are nested at most 200 levels deep, and functions are put in at each use: functions that use \
         others several times each grow fast. Name a part of it with `let`.",
        "fn a(x) = x + x + x + x + x + x + x + x\n\
         fn b(x) = a(a(a(a(x))))\n\
         on insn at main print b(b(b(x0)))",
        "fn a(x) = 8 * x\n\
         fn b(x) = a(a(a(a(x))))\n\
         on insn at main print b(b(b(x0)))",
    ),
    page(
        "E0108",
        "a bracket or brace has no partner",
        "Each `{`, `(` and `[` is closed by its own kind, and what is closed was opened.",
        "on insn at main { write x0 = 5",
        "on insn at main { write x0 = 5 }",
    ),
    page(
        "E0109",
        "this is not a number",
        "Numbers are decimal, or begin with `0x` or `0b`; `_` may stand between digits, and a suffix says what is counted: \
         `64K`, `10ms`. A number has at most 128 bits.",
        "on insn at 80f trace",
        "on insn at 0x80f trace",
    ),
    page(
        "E0110",
        "a string has no closing quote",
        "A string ends on the line that it begins on; a line break in it is written `\\n`. In a shell, put the whole script \
         into single quotes.",
        "on insn at main print \"x0={x0}",
        "on insn at main print \"x0={x0}\"",
    ),
    page(
        "E0111",
        "this is written otherwise in another language",
        "Signs that C, the shell, bpftrace or debuggers have: `$name`, `'text'`, `->`, `++`, `? :`, `// comment`, \
         `/filter/`, casts and `*pointer`. The message says how it is written here.",
        "on insn at main print $x0",
        "on insn at main print x0",
    ),
    page(
        "E0112",
        "a place has no `at`",
        "Events that happen at instructions take their places after `at` (points) or `in` (regions). Events of functions and \
         system calls take names at once, separated by commas.",
        "on insn main trace",
        "on insn at main trace",
    ),
    page(
        "E0113",
        "there is nothing between two values",
        "Values of a list are separated by commas, and what is computed has an operator.",
        "on insn at main print x0 x1",
        "on insn at main print x0, x1",
    ),
    page(
        "E0114",
        "something is missing",
        "The statement or clause is right as far as it goes, and ends too early.",
        "on insn at main write x0 =",
        "on insn at main write x0 = 5",
    ),
    page(
        "E0115",
        "this does not fit here",
        "What came before is complete, or needs something else. The help shows the form of the statement or probe.",
        "on insn at main trace x0",
        "on insn at main print x0",
    ),
    given(
        Command,
        page(
            "E0116",
            "a script is not UTF-8 text",
            "The file has bytes that are no text: it is saved in another encoding, or it is no script at all. A program to run \
             is given without `-s`.",
            "# a file in Latin-1, say, or a program after -s",
            "# the same file, saved as UTF-8",
        ),
    ),
    given(
        Command,
        page(
            "E0117",
            "a script is too large",
            "A script has at most 4 MiB. A file of that size is hardly a script; one that is made by a program can be split, and \
             `-s` given several times.",
            "# a file of 10 MiB",
            "# the same in three files: -s a.spile -s b.spile -s c.spile",
        ),
    ),
    page(
        "E0118",
        "a statement belongs to no probe",
        "Without braces a probe has one statement. Several stand in braces.",
        "on insn at main trace; print x0",
        "on insn at main { trace; print x0 }",
    ),
    page(
        "E0119",
        "a string cannot be read",
        "In a string `{value}` or `{value:format}` prints a value, `{{` and `}}` print braces, and a backslash begins an escape: \
         `\\n`, `\\t`, `\\\\`, `\\\"`, `\\x41`.",
        "on insn at main print \"100% {}\"",
        "on insn at main print \"100% {{}} {x0}\"",
    ),
    page(
        "E0120",
        "a regular expression cannot be read",
        "Between slashes stands a regular expression in the syntax of Rust's `regex`: brackets have partners, and `\\` makes a \
         sign an ordinary one.",
        "on insn /(bl|b/ trace",
        "on insn /(bl|b)/ trace",
    ),
    page(
        "E0121",
        "comparisons are chained",
        "A comparison gives a truth value, which the next one would compare with a number. Write two, or a range whose end is \
         excluded.",
        "on insn at main when 1 < x0 < 5 trace",
        "on insn at main when x0 within 2..5 trace",
    ),
    page(
        "E0122",
        "a clause stands behind the action",
        "A probe reads from left to right like a pipe: event, clauses, action.",
        "on insn at main print x0 when x1 == 2",
        "on insn at main when x1 == 2 print x0",
    ),
    page(
        "E0123",
        "a word of the language cannot be a name",
        "Verbs, clauses and the words of expressions keep their meaning everywhere.",
        "const at = 5",
        "const place = 5",
    ),
    page(
        "E0199",
        "there are more errors than are shown",
        "The first 20 errors are shown; the rest may be their consequences.",
        "on insn at main print y0, y1, y2, y3, y4, y5, y6, y7, y8, y9, y10, y11, y12, y13, y14, y15, y16, y17, y18, y19, y20",
        "on insn at main print x0",
    ),
    // ---- places that a program does not have
    given(
        Program,
        page(
            "E0301",
            "there is no guest code at this place",
            "Nothing executable is mapped there: the address is data, or the program is loaded elsewhere. In a program that can be \
             loaded anywhere, `prog:0x810` is an address as `objdump` shows it.",
            "on insn at 0x10 trace",
            "on insn at main trace",
        ),
    ),
    given(
        Program,
        page(
            "E0302",
            "a place is in the middle of an instruction",
            "No instruction begins at this address. The help shows the ones before and behind it.",
            "on insn at main+2 trace",
            "on insn at main+4 trace",
        ),
    ),
    given(
        Program,
        page(
            "E0303",
            "the program has no such symbol or section",
            "Names are exact; in quotes `*` and `?` stand for others. `spile list PROGRAM 'pars*'` shows what there is. A \
             stripped program has no names: use addresses.",
            "on call mian trace",
            "on call main trace",
        ),
    ),
    given(
        Program,
        page(
            "E0304",
            "a name means several places",
            "Static functions of different files may have the same name. Name the module and address, or take all of them with \
             quotes.",
            "on insn at init trace",
            "on insn at \"init\" trace",
        ),
    ),
    given(
        Program,
        page(
            "E0305",
            "there is no such module",
            "Before the colon stands the program or a library that is loaded, by its file name with or without `.so`.",
            "on call libz:inflate trace",
            "on call inflate trace",
        ),
    ),
    given(
        Program,
        page(
            "E0306",
            "a source line has no code, or is not known",
            "The program has no debug information, or the compiler made no code for this line. Compile with `-g`; the help names \
             the nearest lines.",
            "on insn at main.c:1 trace",
            "on insn at main.c:42 trace",
        ),
    ),
    // ---- what does not make sense
    page(
        "E0401",
        "a value does not fit",
        "The value, bit or range is larger than the register or the piece of memory that it is meant for.",
        "on insn at main write w0 = 0x1_0000_0000",
        "on insn at main write x0 = 0x1_0000_0000",
    ),
    page(
        "E0402",
        "this cannot be written",
        "Constants, parameters, loop variables and some registers only have values. What varies is a global, `@name`, or a \
         `let` of the body.",
        "const LIMIT = 5\non insn at main LIMIT = 6",
        "on insn at main @limit = 6",
    ),
    page(
        "E0403",
        "this exists only in other events, or at another moment",
        "Some values and statements belong to an event: a return value to `return` and `after call`, `args` to calls. What a \
         function returns is not known before it returns.",
        "on call main print retval",
        "on return main print retval",
    ),
    page(
        "E0404",
        "nothing has this name here",
        "It is no register of this architecture, no builtin, no variable of the body, no constant or parameter. Symbols of the \
         program are values with `&` only: `&counter`.",
        "on insn at main print icuont",
        "on insn at main print icount",
    ),
    page(
        "E0406",
        "the types do not go together",
        "Texts, numbers and truth values are different things. The string that a register points to is `str(x0)`; texts are put \
         together in a string, `\"{a}{b}\"`.",
        "on insn at main when x0 == \"abc\" trace",
        "on insn at main when str(x0) == \"abc\" trace",
    ),
    page(
        "E0407",
        "there is no such function",
        "Functions are those of the language, listed in the reference, and the script's own `fn`s. The guest's functions cannot be \
         called.",
        "on insn at main print popcuont(x0)",
        "on insn at main print popcount(x0)",
    ),
    page(
        "E0408",
        "a function has another number of arguments",
        "The help shows what the function takes.",
        "on insn at main print bit(x0)",
        "on insn at main print bit(x0, 3)",
    ),
    page(
        "E0409",
        "no probe has this label",
        "`enable` and `disable` name a probe by the label before it.",
        "on begin enable spy",
        "spy: on insn at main disabled trace\non begin enable spy",
    ),
    page(
        "E0410",
        "something is said twice",
        "A name is defined once, and a clause stands once in a probe; its places are separated by commas.",
        "const A = 1\nconst A = 2",
        "const A = 1\nconst B = 2",
    ),
    page(
        "E0411",
        "a register or builtin has this name",
        "A constant, parameter, function or variable of that name would hide it.",
        "const x0 = 1",
        "const first = 1",
    ),
    page(
        "E0412",
        "the keys of a map do not go together",
        "A map has the same number and types of keys at each use; without keys it is a single value.",
        "on insn at main { @m[x0] = 1; @m[x0, x1] = 2 }",
        "on insn at main { @m[x0] = 1; @pairs[x0, x1] = 2 }",
    ),
    page(
        "E0413",
        "an aggregation is used as something else",
        "What `count`, `sum`, `hist` and the like collect under a name is of that kind everywhere. It is printed as a whole.",
        "on insn at main { count into @c; sum x0 into @c }",
        "on insn at main { count into @c; sum x0 into @total }",
    ),
    page(
        "E0414",
        "a global is read and never assigned",
        "No probe gives it a value: its name may be misspelt.",
        "on insn at main count into @calls\non end print @cals",
        "on insn at main count into @calls\non end print @calls",
    ),
    page(
        "E0415",
        "this selects nothing, or more than there is",
        "A range is empty because its end is excluded or stands before its start, a count is 0, or an element does not exist: \
         counts begin at 1, elements at 0.",
        "on insn at main hit 0 trace",
        "on insn at main hit 1 trace",
    ),
    page(
        "E0416",
        "a constant expression has no value",
        "It divides by zero, shifts by as many bits as there are, or the like, whatever the program does.",
        "on insn at main print x0 / 0",
        "on insn at main print x0 / 2",
    ),
    page(
        "E0417",
        "this has to be constant",
        "It is decided before the program runs, so it can depend on numbers, constants and parameters only.",
        "const A = x0",
        "const A = 5",
    ),
    page(
        "E0418",
        "a function uses itself",
        "Functions are put in where they are used, so they cannot be recursive. `for` repeats.",
        "fn f(n) = f(n - 1)\non insn at main print f(x0)",
        "fn f(n) = n - 1\non insn at main print f(x0)",
    ),
    page(
        "E0419",
        "there is no such format",
        "After the colon stands the form of the value: width, `#` for a prefix, and `x`, `d`, `b` and the like; there is no `%`.",
        "on insn at main print \"{x0:q}\"",
        "on insn at main print \"{x0:#x}\"",
    ),
    page(
        "E0420",
        "there is no such type, or it cannot be so",
        "Types are `u8` to `u128`, `i8` to `i128`, `f32`, `f64`, pointers to structures of the script or the program. A structure cannot \
         contain itself; it can contain a pointer to itself.",
        "on insn at main print x0 as u23",
        "on insn at main print x0 as u32",
    ),
    page(
        "E0421",
        "there is no such part of a register",
        "The manual's names of lanes are known: `v0.s[0]` to `v0.s[3]`. Bits of other registers: `bits(x0, 0..8)`.",
        "on insn at main print v0.s[4]",
        "on insn at main print v0.s[3]",
    ),
    given(
        Command,
        page(
            "E0422",
            "`-p` gives no value that a parameter can take",
            "`-p name=value` sets a `param` of the script: the name has to be declared, the value is a number or text like its \
             default.",
            "# spile run -p nht=3 …\nparam nth = 1\non insn at main hit nth trace",
            "# spile run -p nth=3 …\nparam nth = 1\non insn at main hit nth trace",
        ),
    ),
    page(
        "E0424",
        "a random number would be taken twice",
        "An argument is put in wherever the function uses it, so `rand` would give a number each time. Take it once, with `let`.",
        "fn twice(a) = a + a\non insn at main print twice(rand(4))",
        "fn twice(a) = a + a\non insn at main { let r = rand(4); print twice(r) }",
    ),
    given(
        Command,
        page(
            "E0425",
            "a patch in a read-only run",
            "The run was started with `--read-only`, which refuses whatever changes the guest.",
            "# spile run --read-only …\non insn at main write x0 = 5",
            "# spile run --read-only …\non insn at main print x0",
        ),
    ),
    page(
        "E0426",
        "a loop is too long",
        "The guest waits while a probe runs, so a loop has at most 4096 rounds. Use a smaller range, or spread the work over \
         several events.",
        "on insn at main for i in 0..5000 { print i }",
        "on insn at main for i in 0..500 { print i }",
    ),
    page(
        "E0427",
        "a map is gone through where it cannot be",
        "`for k, v in @map` goes through a map of one key in `begin`, `end`, `exit` or `every`, with a variable for the key and one \
         for the value; elsewhere there are ranges.",
        "on insn at main { @m[x0] = 1; for i, j in 0..8 { print i } }",
        "on insn at main { @m[x0] = 1; for i in 0..8 { print i } }",
    ),
    page(
        "E0430",
        "there is no debug information",
        "The program's arguments and variables have names in its debug information only. Compile it with `-g`, or use registers: \
         `arg0`, `x0`.",
        "on call stripped print args.len",
        "on call stripped print arg0",
    ),
    page(
        "E0431",
        "the program has no such variable here",
        "The code of this probe sees no argument, variable or global of that name. `print args` and `print vars` show those that \
         there are.",
        "on call parse print args.lne",
        "on call parse print args.len",
    ),
    page(
        "E0432",
        "there is no such member",
        "The structure has no such member, or the value is no structure. A dot follows pointers too; a cast says what an address \
         points to.",
        "on call parse print args.len.x",
        "on call parse print args.len",
    ),
    page(
        "E0433",
        "a variable is optimised out, or not kept",
        "The compiler keeps it nowhere at these places. Ask earlier, where it is still used, or compile with `-Og`; what arguments \
         a function had is not known when it returns.",
        "on insn at main.c:42 print vars.gone",
        "on insn at main.c:42 print vars.i",
    ),
    page(
        "E0434",
        "a variable has different types in different functions",
        "One probe has one type for each value. Make a probe for each function.",
        "on call parse, other print args.both",
        "on call parse print args.len",
    ),
    page(
        "E0435",
        "a call stack has 1 to 1024 entries",
        "`stack(n)` asks for a fixed number of entries; `stack` alone gives up to 127.",
        "on call parse print stack(0)",
        "on call parse print stack(5)",
    ),
    given(
        Command,
        page(
            "E0440",
            "a file that a script uses cannot be read",
            "The path behind `use` is relative to the file that says it; in `-e` and `--on`, to the current folder.",
            "use \"lbi.spile\"\non insn at main print twice(x0)",
            "use \"lib.spile\"\non insn at main print twice(x0)",
        ),
    ),
    given(
        Command,
        page(
            "E0441",
            "files use each other in a circle",
            "What stands in a used file comes first, which cannot be if it uses the file that uses it. Put what both need into a \
             third file.",
            "use \"itself.spile\"   # which has a line  use \"itself.spile\"",
            "use \"constants.spile\"",
        ),
    ),
    given(
        Command,
        page(
            "E0442",
            "a script uses a file twice",
            "Once is enough. A file that several files use is read once, where it is used first.",
            "use \"lib.spile\"\nuse \"lib.spile\"",
            "use \"lib.spile\"",
        ),
    ),
    // ---- what this version cannot do
    page(
        "E0700",
        "this version cannot do that yet",
        "The language has it, and this version refuses it before anything runs rather than doing something else. The reference \
         marks such rows.",
        "on insn at main snapshot \"ready\"",
        "on insn at main print func",
    ),
    given(
        Program,
        page(
            "E0701",
            "a probe body is too complex",
            "It needs more temporary values at once than there are. Keep intermediate results with `let`, or make two probes.",
            "# one expression with very many parts that are all needed at once",
            "# its parts, each in a `let`",
        ),
    ),
    // ---- warnings
    page(
        "W0501",
        "a comparison is always the same",
        "The value has no sign, so it is never negative. To read it with a sign: `as i64`.",
        "on insn at main when x0 < 0 trace",
        "on insn at main when (x0 as i64) < 0 trace",
    ),
    given(
        Program,
        page(
            "W0502",
            "a probe matches no instruction",
            "Its pattern selects none of the instructions of its region. `spile list` shows what a probe matches. To allow no match, add `optional`.",
            "on insn \"frob*\" in main trace",
            "on insn \"b*\" in main trace",
        ),
    ),
    given(
        Run,
        page(
            "W0503",
            "a place was never there",
            "The program loads libraries while it runs, so a place that is not there yet is waited for. When the program ended, no \
             library had had it.",
            "on call inflaet trace",
            "on call inflate trace",
        ),
    ),
    // ---- what goes wrong in a run
    given(
        Run,
        page(
            "R0601",
            "a probe met memory that is not there",
            "The address is not mapped, or not readable, or not writable. The body was left at this point; the guest went on \
             undisturbed. `??` gives a value instead, `readable` asks first.",
            "on insn at main print u64[x0]",
            "on insn at main print u64[x0] ?? 0",
        ),
    ),
    given(
        Run,
        page(
            "R0602",
            "a probe divided by zero",
            "The body was left at this point; the guest went on undisturbed.",
            "on insn at main print x0 / x1",
            "on insn at main if x1 != 0 { print x0 / x1 }",
        ),
    ),
    given(
        Run,
        page(
            "R0603",
            "a map is full",
            "It holds as many keys as it may. New ones were refused, those that were there went on being updated.",
            "on insn @pcs[pc] += 1",
            "let @pcs: u64 max 4M\non insn @pcs[pc] += 1",
        ),
    ),
    given(
        Run,
        page(
            "R0604",
            "a second change of direction was ignored",
            "Two probes at the same point skip, return or go elsewhere; the first one in the script wins.",
            "on insn at main goto main+8\non insn at main skip",
            "on insn at main skip",
        ),
    ),
    given(
        Run,
        page(
            "R0605",
            "`rand(0)` has no number to give",
            "`rand(n)` gives a number from 0 to n - 1; the result was 0 here.",
            "on insn at main print rand(x0)",
            "on insn at main if x0 != 0 { print rand(x0) }",
        ),
    ),
    given(
        Run,
        page(
            "R0606",
            "more bytes were asked for than a probe reads",
            "The rest was cut off.",
            "on insn at main dump x0, x1",
            "on insn at main dump x0, 64",
        ),
    ),
    given(
        Run,
        page(
            "R0607",
            "a variable or a register of the instruction has no value at this instruction",
            "The compiler keeps a variable at some of the probe's places only, and not every instruction has an `insn.src` and \
             an `insn.dst`. `??` gives a value instead.",
            "on call parse print args.len",
            "on call parse print args.len ?? 0",
        ),
    ),
    given(
        Run,
        page(
            "R0608",
            "an atomic or vector access was not patched",
            "What an atomic operation or an exclusive store stores is known only behind it, and a load that belongs to one cannot \
             be made without memory. The patch was ignored, the rest of the body and the guest went on. What has been loaded can \
             be changed, and so can memory once something is stored. Of the accesses of a RISC-V vector instruction none can be \
             changed by itself, but registers and memory can.",
            "on write at counter write value = 0",
            "after write at counter write u32[addr] = 0",
        ),
    ),
];

/// Finds a page. Case does not matter.
pub fn find(code: &str) -> Option<&'static Page> {
    TABLE.iter().find(|page| page.code.eq_ignore_ascii_case(code))
}

/// Returns codes that `code` may be meant for: the nearest, and those of the same digits, or all of the same family.
pub fn candidates(code: &str) -> Vec<&'static str> {
    let code = code.to_ascii_uppercase();
    let digits = |text: &str| text.trim_start_matches(|c: char| !c.is_ascii_digit()).trim_start_matches('0').to_owned();
    let codes = || TABLE.iter().map(|page| page.code);
    let same: Vec<&str> = codes().filter(|known| !digits(&code).is_empty() && digits(known) == digits(&code)).collect();
    if !same.is_empty() {
        return same;
    }
    let family = code.get(..3).unwrap_or(&code);
    let of_family: Vec<&str> = codes().filter(|known| known.starts_with(family)).collect();
    match of_family.is_empty() {
        true => codes().filter(|known| nearest(&code, codes()).as_deref() == Some(known)).collect(),
        false => of_family,
    }
}

/// Returns the page as text.
pub fn text(page: &Page) -> String {
    let mut out = format!("{}: {}\n\n{}\n", page.code, page.title, folded(page.text));
    let _ = write!(out, "\nGiven {}.\n", page.given.text());
    for (title, script) in [("Wrong", page.wrong), ("Right", page.right)] {
        let _ = write!(out, "\n{title}:\n\n");
        for line in script.lines() {
            let _ = writeln!(out, "    {line}");
        }
    }
    out
}

/// Returns all codes with a line each.
pub fn list() -> String {
    TABLE.iter().map(|page| format!("{}  {}\n", page.code, page.title)).collect()
}

/// Breaks a paragraph into lines.
fn folded(text: &str) -> String {
    const WIDTH: usize = 90;
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}
