//! From text to syntax tree: runs the grammar over one item at a time and builds [`crate::ast`] from what it yields.
//!
//! Syntax errors are explained in [`crate::explain`]; names and types are not looked at here. Nothing in here recurses deeper than
//! [`MAX_NESTING`] levels of the script.

use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::{Pair, Pairs};

use crate::ast::*;
use crate::diag::{Diagnostic, Diagnostics};
use crate::explain;
use crate::ir::{AssignOp, BitsOp, Moment, Place};
use crate::number;
use crate::scan::{self, Chunk, MAX_NESTING, Scan};
use crate::span::Span;

mod grammar {
    //! The generated parser; `grammar/spile.pest` is its documentation.
    #![allow(missing_docs, unreachable_pub, reason = "generated code")]

    #[derive(pest_derive::Parser)]
    #[grammar = "../../grammar/spile.pest"]
    pub(super) struct Grammar;
}

use grammar::{Grammar, Rule};

/// Longer scripts are refused.
pub(crate) const MAX_SOURCE_BYTES: usize = 4 << 20;

/// So many syntax errors are explained in one source; after that items with errors are only skipped.
const MAX_EXPLAINED: usize = 60;

/// So many errors are looked for in one item.
const MAX_REPAIRS: usize = 8;

/// Parses one source. The items that could be read are returned whatever the errors are.
pub(crate) fn parse(source: u32, text: &str, diagnostics: &mut Diagnostics) -> Vec<Item> {
    if text.len() > MAX_SOURCE_BYTES {
        diagnostics.push(explain::too_large(source, text));
        return Vec::new();
    }
    let scan = scan::scan(text);
    let mut parser = SourceParser {
        source,
        original: text,
        text: explain::close_strings(text, &scan.unclosed),
        scan: &scan,
        explained: 0,
        diagnostics,
    };
    for &(start, end) in &scan.unclosed {
        parser.report(explain::unclosed_string(source, text, start, end));
    }
    scan.chunks.iter().flat_map(|c| parser.chunk(c)).collect()
}

struct SourceParser<'a> {
    source: u32,
    original: &'a str,
    text: String,
    scan: &'a Scan,
    explained: usize,
    diagnostics: &'a mut Diagnostics,
}

impl SourceParser<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.explained += 1;
        self.diagnostics.push(diagnostic);
    }

    fn chunk(&mut self, chunk: &Chunk) -> Vec<Item> {
        let deep = &self.scan.too_deep;
        let found = deep.iter().find(|at| (chunk.start..chunk.end).contains(at));
        if let Some(&at) = found {
            self.report(explain::too_deep(self.source, at));
            return Vec::new();
        }
        let mut text = self.text[chunk.start..chunk.end].to_string();
        let mut cuts: Vec<std::ops::Range<usize>> = Vec::new();
        for _ in 0..MAX_REPAIRS {
            let error = match Grammar::parse(Rule::chunk, &text) {
                Ok(pairs) => return self.build(chunk, &text, pairs, !cuts.is_empty()),
                Err(error) => error,
            };
            if self.explained >= MAX_EXPLAINED {
                let start = chunk.start as u32;
                let end = start + 1;
                let source = self.source;
                self.report(explain::unreadable(Span { source, start, end }));
                return Vec::new();
            }
            let Some(cut) = self.explain(chunk, *Box::new(error), &cuts) else {
                return Vec::new();
            };
            blank(&mut text, cut.start - chunk.start..cut.end - chunk.start);
            cuts.push(cut);
        }
        Vec::new()
    }

    /// Reports a syntax error and returns what to cut out in order to find the next one.
    fn explain(
        &mut self,
        chunk: &Chunk,
        error: pest::error::Error<Rule>,
        cuts: &[std::ops::Range<usize>],
    ) -> Option<std::ops::Range<usize>> {
        let at = chunk.start
            + match error.location {
                InputLocation::Pos(at) => at,
                InputLocation::Span((at, _)) => at,
            };
        if let ErrorVariant::CustomError { .. } = error.variant {
            self.report(explain::too_deep(self.source, at));
            return None;
        }
        let tokens = &self.scan.tokens[chunk.tokens.clone()];
        let failure = explain::Failure::new(self.source, self.original, tokens, at, cuts);
        let explained = failure.explain();
        // What follows from an earlier cut is not reported.
        let last = cuts.iter().map(|cut| cut.end).max();
        let follows = last.is_some_and(|end| at < end || explained.follow_up);
        if !follows {
            self.report(explained.diagnostic);
        }
        explained.cut.filter(|cut| !follows && !cut.is_empty())
    }

    fn build(&mut self, chunk: &Chunk, text: &str, pairs: Pairs<'_, Rule>, damaged: bool) -> Vec<Item> {
        let mut builder = Builder {
            source: self.source,
            base: chunk.start,
            text,
            original: self.original,
            scan: self.scan,
            chunk,
            level: 0,
            deep_reported: false,
            damaged,
            odd_event: false,
            terse: self.explained >= MAX_EXPLAINED,
            diagnostics: Vec::new(),
        };
        let items = builder.items(pairs);
        for diagnostic in builder.diagnostics {
            self.report(diagnostic);
        }
        items
    }
}

/// Overwrites a piece with spaces, so that all positions stay.
fn blank(text: &mut String, range: std::ops::Range<usize>) {
    let Some(piece) = text.get(range.clone()) else {
        return;
    };
    let spaces: String = piece.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }).collect();
    text.replace_range(range, &spaces);
}

struct Builder<'a> {
    source: u32,
    base: usize,
    text: &'a str,
    original: &'a str,
    scan: &'a Scan,
    chunk: &'a Chunk,
    level: usize,
    deep_reported: bool,
    damaged: bool,
    /// The event of this probe is not known: what looks like a missing `at` may belong to it.
    odd_event: bool,
    /// Enough errors have been explained; the others are only counted.
    terse: bool,
    diagnostics: Vec<Diagnostic>,
}

type Node<'i> = Pair<'i, Rule>;

/// The parts of a node, keywords and `=` left out.
fn parts(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    let matters = |part: &Node<'_>| part.as_rule() < Rule::K_on && part.as_rule() != Rule::assign;
    node.into_inner().filter(matters)
}

/// Binding powers, loose to tight.
mod power {
    pub(super) const COALESCE: u8 = 1;
    pub(super) const OR: u8 = 2;
    pub(super) const AND: u8 = 3;
    pub(super) const COMPARE: u8 = 5;
    pub(super) const BIT_OR: u8 = 6;
    pub(super) const BIT_XOR: u8 = 7;
    pub(super) const BIT_AND: u8 = 8;
    pub(super) const SHIFT: u8 = 9;
    pub(super) const ADD: u8 = 10;
    pub(super) const MUL: u8 = 11;
    pub(super) const CAST: u8 = 12;
    pub(super) const UNARY: u8 = 13;
}

fn infix(rule: Rule) -> Option<(Binary, u8)> {
    Some(match rule {
        Rule::coalesce => (Binary::Coalesce, power::COALESCE),
        Rule::or => (Binary::Or, power::OR),
        Rule::and => (Binary::And, power::AND),
        Rule::eq => (Binary::Eq, power::COMPARE),
        Rule::ne => (Binary::Ne, power::COMPARE),
        Rule::lt => (Binary::Lt, power::COMPARE),
        Rule::le => (Binary::Le, power::COMPARE),
        Rule::gt => (Binary::Gt, power::COMPARE),
        Rule::ge => (Binary::Ge, power::COMPARE),
        Rule::bor => (Binary::BitOr, power::BIT_OR),
        Rule::bxor => (Binary::BitXor, power::BIT_XOR),
        Rule::band => (Binary::BitAnd, power::BIT_AND),
        Rule::shl => (Binary::Shl, power::SHIFT),
        Rule::shr => (Binary::Shr, power::SHIFT),
        Rule::add => (Binary::Add, power::ADD),
        Rule::sub => (Binary::Sub, power::ADD),
        Rule::mul => (Binary::Mul, power::MUL),
        Rule::div => (Binary::Div, power::MUL),
        Rule::rem => (Binary::Rem, power::MUL),
        _ => return None,
    })
}

fn is_compare(op: Binary) -> bool {
    use Binary::*;
    matches!(op, Eq | Ne | Lt | Le | Gt | Ge)
}

impl Builder<'_> {
    // ---------- spans ----------

    fn range(&self, start: usize, end: usize) -> Span {
        Span { source: self.source, start: (self.base + start) as u32, end: (self.base + end) as u32 }
    }

    /// A node's span. The grammar lets white space and comments before an absent option belong to the node: they are cut off.
    fn span(&self, node: &Node<'_>) -> Span {
        let span = node.as_span();
        let (start, end) = (span.start(), span.end());
        let tokens = &self.scan.tokens[self.chunk.tokens.clone()];
        let after = tokens.partition_point(|t| t.start < self.base + end);
        let last = after.checked_sub(1).map_or(end, |i| tokens[i].end - self.base);
        let end = end.min(last).max(start);
        let text = self.text.get(start..end).unwrap_or("");
        self.range(start, start + text.trim_end().len().max(usize::from(!text.is_empty())))
    }

    fn text(&self, node: &Node<'_>) -> Text {
        Text { text: node.as_str().trim_end().to_string(), span: self.span(node) }
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    // ---------- items ----------

    fn items(&mut self, pairs: Pairs<'_, Rule>) -> Vec<Item> {
        let chunk = pairs.flat_map(parts);
        let mut items = Vec::new();
        for node in chunk {
            if !matches!(node.as_rule(), Rule::EOI | Rule::semi) {
                items.extend(self.item(node));
            }
        }
        items
    }

    fn item(&mut self, node: Node<'_>) -> Option<Item> {
        Some(match node.as_rule() {
            Rule::use_i => Item::Use(self.qname(parts(node).next()?)),
            Rule::struct_i => self.structure(node)?,
            Rule::param_i => self.param(node)?,
            Rule::const_i => self.constant(node)?,
            Rule::state_i => self.state(node)?,
            Rule::fn_i => self.function(node)?,
            Rule::probe => Item::Probe(self.probe(node)?),
            _ => return None,
        })
    }

    fn param(&mut self, node: Node<'_>) -> Option<Item> {
        let (mut name, mut ty, mut value) = (None, None, None);
        for part in parts(node) {
            match part.as_rule() {
                Rule::ident => name = Some(self.text(&part)),
                Rule::ty => ty = Some(self.type_name(part)),
                _ => value = Some(self.expr(part)),
            }
        }
        Some(Item::Param(Param { name: name?, ty, value: value? }))
    }

    fn constant(&mut self, node: Node<'_>) -> Option<Item> {
        let mut inner = parts(node);
        let name = self.text(&inner.next()?);
        let value = self.expr(inner.next()?);
        Some(Item::Const { name, value })
    }

    fn state(&mut self, node: Node<'_>) -> Option<Item> {
        let span = self.span(&node);
        let mut item = StateItem { name: Text { text: String::new(), span }, ty: None, initial: None, capacity: None };
        for part in parts(node) {
            match part.as_rule() {
                Rule::mapname => item.name = self.text(&part),
                Rule::ty => item.ty = Some(self.type_name(part)),
                Rule::expr => item.initial = Some(self.expr(part)),
                _ => item.capacity = Some(self.primary(part)),
            }
        }
        Some(Item::State(item))
    }

    fn function(&mut self, node: Node<'_>) -> Option<Item> {
        let mut names = Vec::new();
        let mut body = None;
        for part in parts(node) {
            match part.as_rule() {
                Rule::ident => names.push(self.text(&part)),
                _ => body = Some(self.expr(part)),
            }
        }
        let params = names.split_off(1.min(names.len()));
        Some(Item::Fn(FnItem { name: names.pop()?, params, body: body? }))
    }

    fn structure(&mut self, node: Node<'_>) -> Option<Item> {
        let (mut name, mut fields) = (None, Vec::new());
        for part in parts(node) {
            match part.as_rule() {
                Rule::ident => name = Some(self.text(&part)),
                _ => fields.extend(self.field(part)),
            }
        }
        Some(Item::Struct(StructItem { name: name?, fields }))
    }

    fn field(&mut self, node: Node<'_>) -> Option<StructField> {
        let (mut name, mut ty, mut offset) = (None, None, None);
        for part in parts(node) {
            match part.as_rule() {
                Rule::field => name = Some(self.text(&part)),
                Rule::ty => ty = Some(self.type_name(part)),
                _ => {
                    let at = self.span(&part);
                    offset = Some(self.address(part.as_str(), at));
                }
            }
        }
        Some(StructField { name: name?, ty: ty?, offset })
    }

    fn type_name(&mut self, node: Node<'_>) -> TypeName {
        let span = self.span(&node);
        let mut ty = TypeName { stars: 0, name: String::new(), array: false, count: 0, span };
        for part in parts(node) {
            match part.as_rule() {
                Rule::stars => ty.stars = part.as_str().len(),
                Rule::ident => ty.name = part.as_str().to_string(),
                _ => {
                    let at = self.span(&part);
                    (ty.array, ty.count) = (true, self.address(part.as_str(), at));
                }
            }
        }
        ty
    }

    // ---------- probes ----------

    fn probe(&mut self, node: Node<'_>) -> Option<Probe> {
        let span = self.span(&node);
        let (mut label, mut moment, mut event, mut body) = (None, None, None, None);
        let mut clauses: Vec<Clause> = Vec::new();
        let mut from = span;
        self.odd_event = false;
        for part in parts(node) {
            match part.as_rule() {
                Rule::label => label = parts(part).next().map(|name| self.text(&name)),
                Rule::moment => {
                    from = self.span(&part);
                    moment = Some(moment_of(part.as_str()));
                }
                Rule::event => event = self.event(part),
                Rule::clause => clauses.extend(self.clause(part, event.as_ref())),
                Rule::body => body = Some(self.body(part)),
                _ => {}
            }
        }
        let event = event?;
        let head = clauses.last().map_or(event.span, |clause| clause.span);
        Some(Probe { label, moment: moment?, head: from.to(head), event, clauses, body, span, damaged: self.damaged })
    }

    fn event(&mut self, node: Node<'_>) -> Option<Event> {
        let span = self.span(&node);
        let node = parts(node).next()?;
        if node.as_rule() == Rule::x_event {
            let word = self.text(&node);
            self.odd_event = true;
            self.error(match self.terse {
                true => explain::unreadable(span),
                false => explain::unknown_event(&word),
            });
            return Some(Event { word, args: EventArgs::None, span });
        }
        let mut inner = parts(node);
        let word = self.text(&inner.next()?);
        let args = match inner.next() {
            None => EventArgs::None,
            Some(part) => self.event_args(part)?,
        };
        Some(Event { word, args, span })
    }

    fn event_args(&mut self, node: Node<'_>) -> Option<EventArgs> {
        Some(match node.as_rule() {
            Rule::qname => EventArgs::Text(self.qname(node)),
            Rule::regex => EventArgs::Regex(self.regex(node)),
            Rule::names => EventArgs::Names(self.names(node)),
            _ => EventArgs::Quantity(self.quantity(node)?),
        })
    }

    fn qname(&mut self, node: Node<'_>) -> Text {
        let span = self.span(&node);
        let inner = node.into_inner().next();
        let text = inner.map_or("", |part| part.as_str());
        Text { text: text.to_string(), span }
    }

    fn regex(&mut self, node: Node<'_>) -> Regex {
        let span = self.span(&node);
        let mut inner = node.into_inner();
        let text = inner.next().map_or("", |part| part.as_str());
        Regex { text: text.replace("\\/", "/"), ignore_case: inner.next().is_some(), span }
    }

    fn quantity(&mut self, node: Node<'_>) -> Option<Quantity> {
        let span = self.span(&node);
        let mut inner = parts(node);
        let first = inner.next()?;
        let amount = match first.as_rule() {
            Rule::num => self.num(first)?,
            _ => self.primary(first),
        };
        let unit = inner.next().map(|part| self.text(&part));
        Some(Quantity { amount, unit, span })
    }

    fn num(&mut self, node: Node<'_>) -> Option<Expr> {
        let inner = parts(node).next()?;
        Some(match inner.as_rule() {
            Rule::ident => {
                let root = self.text(&inner);
                let span = root.span;
                let access = Vec::new();
                leaf(ExprKind::Path { root, access }, span)
            }
            _ => self.primary(inner),
        })
    }

    fn names(&mut self, node: Node<'_>) -> Vec<Loc> {
        let mut list = Vec::new();
        for name in parts(node) {
            let span = self.span(&name);
            match parts(name).next() {
                Some(loc) if loc.as_rule() == Rule::loc => list.extend(self.loc(loc)),
                _ => list.push(Loc { place: Place::Any, offset: 0, span }),
            }
        }
        list
    }

    fn loc(&mut self, node: Node<'_>) -> Option<Loc> {
        let span = self.span(&node);
        let mut inner = parts(node);
        let place = self.place(inner.next()?)?;
        let offset = match inner.next() {
            Some(part) => self.offset(part),
            None => 0,
        };
        Some(Loc { place, offset, span })
    }

    fn offset(&mut self, node: Node<'_>) -> i64 {
        let span = self.span(&node);
        let mut inner = parts(node);
        let minus = inner.next().is_some_and(|sign| sign.as_str() == "-");
        let value = inner.next().and_then(|part| number::int(part.as_str()));
        match value.and_then(|v| i64::try_from(v).ok()) {
            Some(v) if minus => -v,
            Some(v) => v,
            None => {
                self.error(explain::number_too_large(span, "an offset", 63));
                0
            }
        }
    }

    fn place(&mut self, node: Node<'_>) -> Option<Place> {
        let span = self.span(&node);
        let text = node.as_str();
        Some(match node.as_rule() {
            Rule::srcline => self.source_line(node)?,
            Rule::hexint | Rule::decint => Place::Addr(self.address(text, span)),
            Rule::qname => Place::Glob(self.qname(node).text),
            Rule::modsym => self.module_place(node)?,
            _ => Place::Symbol(text.to_string()),
        })
    }

    fn source_line(&mut self, node: Node<'_>) -> Option<Place> {
        let mut inner = node.into_inner();
        let (file, line) = (inner.next()?, inner.next()?);
        let at = self.span(&line);
        let line = self.address(line.as_str(), at);
        let file = match file.as_rule() {
            Rule::qname => self.qname(file).text,
            _ => file.as_str().to_string(),
        };
        Some(Place::Line { file, line })
    }

    fn address(&mut self, text: &str, span: Span) -> u64 {
        let value = number::int(text).and_then(|v| u64::try_from(v).ok());
        value.unwrap_or_else(|| {
            self.error(explain::number_too_large(span, "an address", 64));
            0
        })
    }

    fn module_place(&mut self, node: Node<'_>) -> Option<Place> {
        let span = self.span(&node);
        let mut inner = node.into_inner();
        let first = inner.next()?;
        let module = match first.as_rule() {
            Rule::qname => self.qname(first).text,
            _ => first.as_str().to_string(),
        };
        let second = inner.next()?;
        Some(match second.as_rule() {
            Rule::hexint => Place::ModuleAddr { module, addr: self.address(second.as_str(), span) },
            Rule::qname => Place::ModuleGlob { module, glob: self.qname(second).text },
            _ => Place::ModuleSymbol { module, symbol: second.as_str().to_string() },
        })
    }

    fn region(&mut self, node: Node<'_>) -> Option<Region> {
        let span = self.span(&node);
        let mut inner = parts(node).filter(|part| part.as_rule() != Rule::dots);
        let from = self.loc(inner.next()?)?;
        let kind = match inner.next() {
            None => RegionKind::Extent(from),
            Some(part) if part.as_rule() == Rule::len => {
                let number = parts(part).next()?;
                let at = self.span(&number);
                RegionKind::Len(from, self.address(number.as_str(), at))
            }
            Some(part) => RegionKind::Range(from, self.loc(part)?),
        };
        Some(Region { kind, span })
    }

    fn locs(&mut self, node: Node<'_>) -> Vec<Loc> {
        parts(node).flat_map(parts).filter_map(|loc| self.loc(loc)).collect()
    }

    fn regions(&mut self, node: Node<'_>) -> Vec<Region> {
        parts(node).flat_map(parts).filter_map(|region| self.region(region)).collect()
    }

    fn clause(&mut self, node: Node<'_>, event: Option<&Event>) -> Option<Clause> {
        let node = parts(node).next()?;
        let span = self.span(&node);
        let word_length = node.as_str().find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(node.as_str().len());
        let word = Span { end: span.start + word_length as u32, ..span };
        let kind = match node.as_rule() {
            Rule::c_at => ClauseKind::At(self.locs(node)),
            Rule::c_in => ClauseKind::In(self.regions(node)),
            Rule::c_except => ClauseKind::Except(self.regions(node)),
            Rule::c_when => ClauseKind::When(self.expr(parts(node).next()?)),
            Rule::c_hit => self.hit(node)?,
            Rule::c_once => ClauseKind::Once(parts(node).next().is_some()),
            Rule::c_disabled => ClauseKind::Disabled,
            Rule::c_optional => ClauseKind::Optional,
            Rule::c_from => ClauseKind::From(self.names(parts(node).next()?)),
            Rule::c_during => ClauseKind::During(self.names(parts(node).next()?)),
            Rule::c_since => ClauseKind::Since(self.locs(node)),
            Rule::c_until => ClauseKind::Until(self.locs(node)),
            Rule::c_limit => self.limit(node)?,
            _ if self.odd_event => return None,
            _ => {
                self.error(explain::missing_at(span, node.as_str(), event));
                return None;
            }
        };
        Some(Clause { kind, word, span })
    }

    fn limit(&mut self, node: Node<'_>) -> Option<ClauseKind> {
        let mut inner = parts(node);
        let count = self.num(inner.next()?)?;
        let period = self.quantity(inner.next()?)?;
        Some(ClauseKind::Limit(Limit { count, period, per_thread: inner.next().is_some() }))
    }

    fn hit(&mut self, node: Node<'_>) -> Option<ClauseKind> {
        let mut inner = parts(node);
        let hits = inner.next()?;
        let per_thread = inner.next().is_some();
        let mut ranges = Vec::new();
        for part in parts(hits) {
            if part.as_rule() == Rule::hevery {
                let every = self.num(parts(part).next()?)?;
                return Some(ClauseKind::Hit(Hits::Every(every), per_thread));
            }
            ranges.push(self.hit_range(part)?);
        }
        Some(ClauseKind::Hit(Hits::Ranges(ranges), per_thread))
    }

    fn hit_range(&mut self, node: Node<'_>) -> Option<HitRange> {
        let span = self.span(&node);
        let mut range = HitRange { from: None, to: None, range: false, span };
        for part in parts(node) {
            match part.as_rule() {
                Rule::dots => range.range = true,
                _ if range.range => range.to = self.num(part),
                _ => range.from = self.num(part),
            }
        }
        Some(range)
    }

    // ---------- statements ----------

    fn body(&mut self, node: Node<'_>) -> Vec<Stmt> {
        match parts(node).next() {
            Some(part) if part.as_rule() == Rule::block => self.block(part),
            Some(part) => self.stmt(part, true).into_iter().collect(),
            None => Vec::new(),
        }
    }

    fn block(&mut self, node: Node<'_>) -> Vec<Stmt> {
        self.level += 1;
        let mut list: Vec<Stmt> = Vec::new();
        let mut last: Option<Span> = None;
        for part in parts(node) {
            if part.as_rule() == Rule::semi {
                last = None;
                continue;
            }
            let span = self.span(&part);
            if let Some(before) = last {
                self.check_separator(before, span, &part);
            }
            last = Some(span);
            list.extend(self.stmt(part, false));
        }
        self.level -= 1;
        list
    }

    /// Two statements stand on one line only with a `;` between them.
    fn check_separator(&mut self, before: Span, span: Span, next: &Node<'_>) {
        let (start, end) = (before.end as usize, span.start as usize);
        let between = self.original.get(start..end).unwrap_or("");
        let wrong_word = next.clone().into_inner().next().is_some_and(|inner| inner.as_rule() == Rule::x_verb);
        let after_block = self.original[..start].ends_with('}');
        if !between.contains('\n') && !wrong_word && !after_block {
            self.error(explain::two_statements(before, span, self.original));
        }
    }

    fn stmt(&mut self, node: Node<'_>, is_body: bool) -> Option<Stmt> {
        let node = parts(node).next()?;
        let span = self.span(&node);
        let word = first_word(node.as_str());
        let word_span = Span { end: span.start + word.len() as u32, ..span };
        let later = |name: &'static str| StmtKind::Later(name, word_span);
        let kind = match node.as_rule() {
            Rule::s_write => self.write(node),
            Rule::s_bits => self.bits(node)?,
            Rule::s_skip => StmtKind::Skip(self.optional_expr(node)),
            Rule::s_goto => self.goto(node)?,
            Rule::s_print => StmtKind::Print(self.print_args(node)),
            Rule::s_trace => self.trace(node),
            Rule::s_dump => {
                let mut inner = parts(node);
                let addr = self.expr(inner.next()?);
                StmtKind::Dump(addr, self.expr(inner.next()?))
            }
            Rule::s_warn => StmtKind::Warn(self.string(parts(node).next()?)),
            Rule::s_fail => StmtKind::Fail(self.string(parts(node).next()?)),
            Rule::s_assert => self.assert(node)?,
            Rule::s_count | Rule::s_agg | Rule::s_hist => self.aggregate(node, word, word_span),
            Rule::s_enable => StmtKind::Enable(self.texts(node)),
            Rule::s_disable => StmtKind::Disable(self.texts(node)),
            Rule::s_reset => StmtKind::Reset(self.texts(node)),
            Rule::s_delete => StmtKind::Delete(self.primary(parts(node).next()?)),
            Rule::s_exit => StmtKind::Exit(self.optional_expr(node)),
            Rule::s_if => self.if_stmt(node)?,
            Rule::s_let => self.let_stmt(node)?,
            Rule::s_next => StmtKind::Next,
            Rule::s_assign => self.assign(node)?,
            Rule::s_return => match parts(node).next() {
                Some(part) if part.as_rule() == Rule::x_ret => {
                    self.error(explain::bare_return(word_span));
                    return None;
                }
                value => {
                    StmtKind::Return(value.filter(|part| part.as_rule() == Rule::expr).map(|part| self.expr(part)))
                }
            },
            Rule::s_stick => StmtKind::Stick(self.stick(node)?),
            Rule::s_raise => match parts(node).last() {
                Some(signal) if signal.as_rule() == Rule::ident => StmtKind::Raise(self.text(&signal)),
                _ => later("raise irq"),
            },
            Rule::s_cover => later("cover"),
            Rule::s_stop => later("stop"),
            Rule::s_snapshot => later("snapshot"),
            Rule::s_restore => later("restore"),
            Rule::s_for => self.for_stmt(node)?,
            _ => {
                self.wrong_verb(node, is_body);
                return None;
            }
        };
        Some(Stmt { kind, span })
    }

    fn wrong_verb(&mut self, node: Node<'_>, is_body: bool) {
        self.damaged = true;
        let span = self.span(&node);
        if self.terse {
            return self.error(explain::unreadable(span));
        }
        let mut inner = node.into_inner();
        let word = inner.next().map(|part| self.text(&part));
        let rest = inner.next().map_or("", |part| part.as_str());
        if let Some(word) = word.filter(|_| !(is_body && self.odd_event)) {
            let diagnostic = explain::unknown_verb(&word, rest, span, self.original, is_body);
            self.error(diagnostic);
        }
    }

    fn texts(&mut self, node: Node<'_>) -> Vec<Text> {
        parts(node).map(|part| self.text(&part)).collect()
    }

    fn optional_expr(&mut self, node: Node<'_>) -> Option<Expr> {
        let part = parts(node).next()?;
        Some(match part.as_rule() {
            Rule::expr => self.expr(part),
            _ => self.primary(part),
        })
    }

    fn duration(&mut self, node: &Node<'_>) -> Option<Duration> {
        let mut inner = node.clone().into_inner();
        let dur = inner.find(|part| part.as_rule() == Rule::dur)?;
        let span = self.span(&dur);
        let part = parts(dur).next()?;
        let kind = match part.as_rule() {
            Rule::qty => DurationKind::For(self.quantity(part)?),
            _ => DurationKind::Until(self.loc(part)?),
        };
        Some(Duration { kind, span })
    }

    fn write(&mut self, node: Node<'_>) -> StmtKind {
        let duration = self.duration(&node);
        let list = parts(node)
            .filter(|part| part.as_rule() == Rule::guest_asg)
            .filter_map(|part| self.guest_assign(part))
            .collect();
        StmtKind::Write { list, duration }
    }

    fn guest_assign(&mut self, node: Node<'_>) -> Option<Assign> {
        let span = self.span(&node);
        let mut inner = parts(node);
        let target = self.lvalue(inner.next()?)?;
        let value = inner.next()?;
        if value.as_rule() == Rule::x_eq {
            let equals = parts(value).next()?;
            let at = self.span(&equals);
            self.error(explain::double_equals(at, span, self.original));
            return None;
        }
        let value = self.expr(value);
        Some(Assign { target, value, span })
    }

    fn lvalue(&mut self, node: Node<'_>) -> Option<Expr> {
        Some(self.primary(parts(node).next()?))
    }

    fn bits(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let duration = self.duration(&node);
        let mut inner = parts(node);
        let op = match inner.next()?.as_str().trim_end() {
            "flip" => BitsOp::Flip,
            "set" => BitsOp::Set,
            _ => BitsOp::Clear,
        };
        let target = self.lvalue(inner.next()?)?;
        let select = self.select(inner.next()?)?;
        Some(StmtKind::Bits { op, target, select, duration })
    }

    fn select(&mut self, node: Node<'_>) -> Option<BitSelect> {
        let select = parts(node).next()?;
        let rule = select.as_rule();
        let mut bounds = parts(select).filter(|part| part.as_rule() != Rule::dots);
        let first = self.expr(bounds.next()?);
        Some(match rule {
            Rule::sel_bit => BitSelect::Bit(first),
            Rule::sel_mask => BitSelect::Mask(first),
            _ => BitSelect::Bits(first, self.expr(bounds.next()?)),
        })
    }

    fn stick(&mut self, node: Node<'_>) -> Option<Stick> {
        let duration = self.duration(&node);
        let mut inner = parts(node);
        let target = self.lvalue(inner.next()?)?;
        let mut value = inner.next()?;
        let mut select = None;
        if value.as_rule() == Rule::bitsel {
            select = Some(self.select(value)?);
            value = inner.next()?;
        }
        Some(Stick { target, select, value: self.expr(value), duration })
    }

    fn goto(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let part = parts(node).next()?;
        Some(match part.as_rule() {
            Rule::expr => StmtKind::GotoExpr(self.expr(part)),
            _ => StmtKind::GotoLoc(self.loc(part)?),
        })
    }

    fn trace(&mut self, node: Node<'_>) -> StmtKind {
        let duration = self.duration(&node);
        StmtKind::Trace { duration }
    }

    fn print_args(&mut self, node: Node<'_>) -> Vec<PrintArg> {
        parts(node).filter_map(|part| self.print_arg(part)).collect()
    }

    fn print_arg(&mut self, node: Node<'_>) -> Option<PrintArg> {
        let span = self.span(&node);
        let (mut name, mut value, mut top) = (None, None, None);
        for part in parts(node) {
            match part.as_rule() {
                Rule::field => name = Some(self.text(&part)),
                Rule::expr => value = Some(self.expr(part)),
                Rule::top => top = parts(part).next().and_then(|num| self.num(num)),
                _ => {}
            }
        }
        Some(PrintArg { name, value: value?, top, span })
    }

    fn assert(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let mut inner = parts(node);
        let cond = self.expr(inner.next()?);
        let message = inner.next().map(|part| self.string(part));
        Some(StmtKind::Assert(cond, message))
    }

    fn aggregate(&mut self, node: Node<'_>, word: &str, word_span: Span) -> StmtKind {
        let mut out = Aggregate {
            function: Text { text: word.to_string(), span: word_span },
            value: None,
            linear: None,
            by: Vec::new(),
            into: None,
        };
        for part in parts(node) {
            match part.as_rule() {
                Rule::expr => out.value = Some(self.expr(part)),
                Rule::linear => out.linear = self.linear(part),
                Rule::by => out.by = parts(part).map(|key| self.expr(key)).collect(),
                Rule::into => out.into = parts(part).next().map(|name| self.text(&name)),
                _ => {}
            }
        }
        StmtKind::Aggregate(out)
    }

    fn linear(&mut self, node: Node<'_>) -> Option<(Expr, Expr, Option<Expr>)> {
        let mut bounds = Vec::new();
        let mut step = None;
        for part in parts(node) {
            match part.as_rule() {
                Rule::bound => bounds.push(self.expr(part)),
                Rule::step => step = parts(part).next().map(|value| self.expr(value)),
                _ => {}
            }
        }
        let to = bounds.pop()?;
        Some((bounds.pop()?, to, step))
    }

    fn if_stmt(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let span = self.span(&node);
        let mut arms = Vec::new();
        let mut cond = None;
        let mut otherwise = None;
        for part in parts(node) {
            match (part.as_rule(), cond.take()) {
                (Rule::expr, _) => cond = Some(self.expr(part)),
                (_, Some(cond)) => arms.push((cond, self.block(part))),
                (_, None) => otherwise = Some(self.block(part)),
            }
        }
        if arms.len() > MAX_NESTING {
            self.deep(span);
            return None;
        }
        Some(StmtKind::If { arms, otherwise })
    }

    fn for_stmt(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let (mut names, mut bounds, mut map, mut body) = (Vec::new(), Vec::new(), None, None);
        for part in parts(node) {
            match part.as_rule() {
                Rule::ident => names.push(self.text(&part)),
                Rule::mapname => map = Some(self.text(&part)),
                Rule::block => body = Some(self.block(part)),
                Rule::bound => bounds.push(self.expr(part)),
                _ => {}
            }
        }
        let over = match (map, bounds.pop(), bounds.pop()) {
            (Some(map), ..) => ForOver::Map(map),
            (None, Some(to), Some(from)) => ForOver::Range(from, to),
            _ => return None,
        };
        Some(StmtKind::For { names, over, body: body? })
    }

    fn let_stmt(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let (mut name, mut ty, mut value) = (None, None, None);
        for part in parts(node) {
            match part.as_rule() {
                Rule::ident => name = Some(self.text(&part)),
                Rule::ty => ty = Some(self.type_name(part)),
                Rule::expr => value = Some(self.expr(part)),
                _ => {}
            }
        }
        Some(StmtKind::Let { name: name?, ty, value: value? })
    }

    fn assign(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let mut inner = parts(node);
        let target = self.primary(inner.next()?);
        let sign = inner.next()?;
        let op = match sign.as_str() {
            "+=" => AssignOp::Add,
            "-=" => AssignOp::Sub,
            "*=" => AssignOp::Mul,
            "|=" => AssignOp::Or,
            "&=" => AssignOp::And,
            "^=" => AssignOp::Xor,
            _ => AssignOp::Set,
        };
        Some(StmtKind::Assign { target, op, op_span: self.span(&sign), value: self.expr(inner.next()?) })
    }

    // ---------- expressions ----------

    fn deep(&mut self, span: Span) -> Expr {
        if !self.deep_reported {
            self.deep_reported = true;
            self.error(explain::too_deep(self.source, span.start as usize));
        }
        leaf(ExprKind::Missing, span)
    }

    /// Builds from the flat list of an `expr` or a `bound`.
    fn expr(&mut self, node: Node<'_>) -> Expr {
        let span = self.span(&node);
        let mut list = parts(node).peekable();
        self.climb(&mut list, 0, span)
    }

    fn climb<'i, I>(&mut self, list: &mut std::iter::Peekable<I>, least: u8, span: Span) -> Expr
    where
        I: Iterator<Item = Node<'i>>,
    {
        self.level += 1;
        let expr = if self.level > 2 * MAX_NESTING {
            list.by_ref().for_each(drop);
            self.deep(span)
        } else {
            self.climb_inner(list, least, span)
        };
        self.level -= 1;
        expr
    }

    fn climb_inner<'i, I>(&mut self, list: &mut std::iter::Peekable<I>, least: u8, span: Span) -> Expr
    where
        I: Iterator<Item = Node<'i>>,
    {
        let mut left = self.operand(list, span);
        let mut compared = None;
        while let Some(next) = list.peek() {
            let rule = next.as_rule();
            if let Some((op, strength)) = infix(rule) {
                if strength < least {
                    break;
                }
                let Some(sign) = list.next() else { break };
                let at = self.span(&sign);
                if is_compare(op)
                    && let Some(first) = compared.replace(at)
                {
                    self.error(explain::chained_comparison(first, at));
                }
                let right = self.climb(list, strength + 1, span);
                left = self.binary(op, at, left, right);
                continue;
            }
            let strength = match rule {
                Rule::cast => power::CAST,
                _ => power::COMPARE,
            };
            if strength < least {
                break;
            }
            let Some(postfix) = list.next() else { break };
            left = self.postfix(postfix, left);
        }
        left
    }

    fn operand<'i, I>(&mut self, list: &mut std::iter::Peekable<I>, span: Span) -> Expr
    where
        I: Iterator<Item = Node<'i>>,
    {
        let Some(node) = list.next() else {
            return leaf(ExprKind::Missing, span);
        };
        let at = self.span(&node);
        let (op, strength) = match node.as_rule() {
            Rule::neg => (Unary::Neg, power::UNARY),
            Rule::bnot => (Unary::BitNot, power::UNARY),
            // `not` stands before a whole comparison, `!` before one value.
            Rule::not if node.as_str() == "!" => (Unary::Not, power::UNARY),
            Rule::not => (Unary::Not, power::COMPARE),
            _ => return self.primary(node),
        };
        let inner = self.climb(list, strength, span);
        let whole = at.to(inner.span);
        self.node(ExprKind::Unary(op, Box::new(inner)), whole)
    }

    fn binary(&mut self, op: Binary, at: Span, left: Expr, right: Expr) -> Expr {
        let span = left.span.to(right.span);
        self.node(ExprKind::Binary(op, at, Box::new(left), Box::new(right)), span)
    }

    /// Finishes a node; if the tree has become too high, says so and cuts it off.
    fn node(&mut self, kind: ExprKind, span: Span) -> Expr {
        let depth = 1 + height(&kind);
        if depth as usize > MAX_NESTING {
            return self.deep(span);
        }
        Expr { kind, span, depth }
    }

    fn postfix(&mut self, node: Node<'_>, left: Expr) -> Expr {
        let whole = left.span.to(self.span(&node));
        let rule = node.as_rule();
        let left = Box::new(left);
        let mut inner = parts(node).filter(|part| part.as_rule() != Rule::dots);
        let Some(first) = inner.next() else {
            return *left;
        };
        let kind = match (rule, first.as_rule()) {
            (Rule::cast, _) => ExprKind::Cast(left, self.type_name(first)),
            (Rule::within, Rule::setlit) => {
                let list = parts(first).map(|part| self.expr(part)).collect();
                ExprKind::WithinSet(left, list)
            }
            (Rule::within, _) => {
                let from = self.expr(first);
                let to = inner.next().map(|part| self.expr(part));
                let to = to.unwrap_or_else(|| leaf(ExprKind::Missing, whole));
                ExprKind::WithinRange(left, Box::new(from), Box::new(to))
            }
            (_, Rule::regex) => ExprKind::MatchRegex(left, self.regex(first)),
            _ => ExprKind::MatchGlob(left, self.qname(first)),
        };
        self.node(kind, whole)
    }

    fn primary(&mut self, node: Node<'_>) -> Expr {
        let span = self.span(&node);
        let text = node.as_str();
        let kind = match node.as_rule() {
            Rule::hexint | Rule::binint | Rule::decint | Rule::sized => ExprKind::Int(number::int(text)),
            Rule::timed => ExprKind::Time(number::time(text)),
            Rule::float => ExprKind::Float(text.parse().unwrap_or(0.0)),
            Rule::boolean => ExprKind::Bool(text == "true"),
            Rule::string => return self.string(node),
            Rule::ifexpr => return self.if_expr(node),
            Rule::memacc => return self.memory(node),
            Rule::addrof => return self.addr_of(node),
            Rule::fcall => return self.call(node),
            Rule::mapref => return self.state_ref(node),
            Rule::path => return self.path(node),
            Rule::paren | Rule::typed => return self.paren(node),
            Rule::next_value => ExprKind::Path { root: self.text(&node), access: Vec::new() },
            _ => ExprKind::Missing,
        };
        leaf(kind, span)
    }

    fn string(&mut self, node: Node<'_>) -> Expr {
        let span = self.span(&node);
        let mut pieces: Vec<StrPiece> = Vec::new();
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::interp => pieces.extend(self.interpolation(part)),
                Rule::escape => push_text(&mut pieces, &unescape(part.as_str())),
                Rule::lbrace => push_text(&mut pieces, &part.as_str()[..1]),
                _ => push_text(&mut pieces, part.as_str()),
            }
        }
        self.node(ExprKind::Str(pieces), span)
    }

    fn interpolation(&mut self, node: Node<'_>) -> Option<StrPiece> {
        let mut inner = parts(node);
        let value = self.expr(inner.next()?);
        let spec = inner.next().and_then(|spec| spec.into_inner().next());
        let format = spec.map(|spec| self.text(&spec));
        Some(StrPiece::Value { value, format })
    }

    fn if_expr(&mut self, node: Node<'_>) -> Expr {
        let span = self.span(&node);
        let mut list: Vec<Expr> = parts(node).map(|part| self.expr(part)).collect();
        let mut out = list.pop().unwrap_or_else(|| leaf(ExprKind::Missing, span));
        while let (Some(value), Some(cond)) = (list.pop(), list.pop()) {
            let whole = cond.span.to(span);
            let kind = ExprKind::If(Box::new(cond), Box::new(value), Box::new(out));
            out = self.node(kind, whole);
        }
        Expr { span, ..out }
    }

    fn memory(&mut self, node: Node<'_>) -> Expr {
        let span = self.span(&node);
        let mut inner = parts(node);
        let ty = inner.next().map(|part| self.text(&part));
        let mut list = match inner.next() {
            Some(index) => self.expr_list(index),
            None => Vec::new(),
        };
        if list.len() > 1 {
            self.error(explain::one_address(span));
        }
        list.truncate(1);
        match (ty, list.pop()) {
            (Some(ty), Some(addr)) => {
                let addr = Box::new(addr);
                self.node(ExprKind::Memory { ty, addr }, span)
            }
            _ => leaf(ExprKind::Missing, span),
        }
    }

    fn expr_list(&mut self, node: Node<'_>) -> Vec<Expr> {
        parts(node).map(|part| self.expr(part)).collect()
    }

    fn addr_of(&mut self, node: Node<'_>) -> Expr {
        let span = self.span(&node);
        let place = node.into_inner().next().and_then(|part| self.place(part));
        match place {
            Some(place) => {
                let loc = Loc { place, offset: 0, span };
                leaf(ExprKind::AddrOf(loc), span)
            }
            None => leaf(ExprKind::Missing, span),
        }
    }

    fn call(&mut self, node: Node<'_>) -> Expr {
        let span = self.span(&node);
        let mut inner = node.into_inner();
        let name = inner.next().map(|part| self.text(&part));
        let args = inner.next().map(|part| self.expr_list(part));
        let access = inner.filter_map(|part| self.access(part)).collect();
        match (name, args) {
            (Some(name), Some(args)) => self.node(ExprKind::Call { name, args, access }, span),
            _ => leaf(ExprKind::Missing, span),
        }
    }

    fn state_ref(&mut self, node: Node<'_>) -> Expr {
        let span = self.span(&node);
        let mut inner = node.into_inner();
        let name = inner.next().map(|part| self.text(&part));
        let keys = inner.next().map(|part| self.expr_list(part));
        match name {
            Some(name) => self.node(ExprKind::State { name, keys }, span),
            None => leaf(ExprKind::Missing, span),
        }
    }

    fn path(&mut self, node: Node<'_>) -> Expr {
        let span = self.span(&node);
        let mut inner = node.into_inner();
        let root = inner.next().map(|part| self.text(&part));
        let access = inner.filter_map(|part| self.access(part)).collect();
        match root {
            Some(root) => self.node(ExprKind::Path { root, access }, span),
            None => leaf(ExprKind::Missing, span),
        }
    }

    fn access(&mut self, node: Node<'_>) -> Option<Access> {
        let part = node.into_inner().next()?;
        let span = self.span(&part);
        Some(match part.as_rule() {
            Rule::field => Access::Field(self.text(&part)),
            _ => Access::Index(self.expr_list(part), span),
        })
    }

    fn paren(&mut self, node: Node<'_>) -> Expr {
        let span = self.span(&node);
        let mut inner = parts(node);
        let Some(first) = inner.next() else {
            return leaf(ExprKind::Missing, span);
        };
        let expr = self.expr(first);
        match inner.next() {
            Some(acc) => {
                let access = acc.into_inner().filter_map(|part| self.access(part)).collect();
                self.node(ExprKind::Access(Box::new(expr), access), span)
            }
            None => Expr { span, ..expr },
        }
    }
}

fn moment_of(text: &str) -> Moment {
    match text.trim_end() {
        "before" => Moment::Before,
        "after" => Moment::After,
        _ => Moment::On,
    }
}

fn leaf(kind: ExprKind, span: Span) -> Expr {
    Expr { kind, span, depth: 1 }
}

fn height(kind: &ExprKind) -> u32 {
    let all = |list: &[Expr]| list.iter().map(|e| e.depth).max().unwrap_or(0);
    let accesses = |list: &[Access]| {
        let depths = list.iter().map(|access| match access {
            Access::Field(_) => 0,
            Access::Index(keys, _) => all(keys),
        });
        depths.max().unwrap_or(0)
    };
    match kind {
        ExprKind::Int(_)
        | ExprKind::Time(_)
        | ExprKind::Float(_)
        | ExprKind::Bool(_)
        | ExprKind::AddrOf(_)
        | ExprKind::Activation
        | ExprKind::Missing => 0,
        ExprKind::Str(pieces) => {
            let depths = pieces.iter().map(|piece| match piece {
                StrPiece::Text(_) => 0,
                StrPiece::Value { value, .. } => value.depth,
            });
            depths.max().unwrap_or(0)
        }
        ExprKind::If(a, b, c) | ExprKind::WithinRange(a, b, c) => a.depth.max(b.depth).max(c.depth),
        ExprKind::Memory { addr, .. } => addr.depth,
        ExprKind::Call { args, access, .. } => all(args).max(accesses(access)),
        ExprKind::State { keys, .. } => keys.as_deref().map_or(0, all),
        ExprKind::Path { access, .. } => accesses(access),
        ExprKind::Access(e, access) => e.depth.max(accesses(access)),
        ExprKind::Unary(_, e) | ExprKind::Cast(e, _) | ExprKind::MatchGlob(e, _) | ExprKind::MatchRegex(e, _) => {
            e.depth
        }
        ExprKind::Binary(_, _, a, b) => a.depth.max(b.depth),
        ExprKind::WithinSet(e, list) => e.depth.max(all(list)),
    }
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    &text[..end.unwrap_or(text.len())]
}

fn push_text(pieces: &mut Vec<StrPiece>, text: &str) {
    match pieces.last_mut() {
        Some(StrPiece::Text(last)) => last.push_str(text),
        _ => pieces.push(StrPiece::Text(text.to_string())),
    }
}

/// `\x41` is the character with this code; the grammar has let only known escapes through.
fn unescape(text: &str) -> String {
    let code = match &text[1..] {
        "n" => '\n',
        "t" => '\t',
        "r" => '\r',
        "0" => '\0',
        "\\" => '\\',
        "\"" => '"',
        hex => u8::from_str_radix(&hex[1..], 16).map_or('?', char::from),
    };
    code.to_string()
}
