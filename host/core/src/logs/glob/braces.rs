//! The expansion of braces in a glob, and the characters that have a meaning elsewhere and none here.

use super::parse::{GlobProblem, parse_escape, parse_set};

/// Maximum number of alternatives that braces may stand for, in all.
const MAX_ALTERNATIVES: usize = 256;
/// Maximum number of bytes of all alternatives together; a glob without braces is shorter.
const MAX_EXPANDED: usize = 16 << 10;
/// Maximum depth of nested braces.
const MAX_NESTING: usize = 16;

/// The expansion of braces. The resulting texts have none but escaped ones.
pub(super) struct Expansion<'a> {
    rest: &'a str,
    /// Previous character; `None` after an escape.
    before: Option<char>,
    is_at_start: bool,
    nesting: usize,
}

impl<'a> Expansion<'a> {
    /// Expands the braces of a glob.
    pub(super) fn of(text: &'a str) -> Result<Vec<String>, GlobProblem> {
        let mut expansion = Self { rest: text, before: None, is_at_start: true, nesting: 0 };
        let texts = expansion.sequence()?;
        if expansion.rest.is_empty() { Ok(texts) } else { Err(literal('}', "has no { before it")) }
    }

    /// Reads up to the end or, within braces, up to the end of an alternative.
    fn sequence(&mut self) -> Result<Vec<String>, GlobProblem> {
        let mut texts = vec![String::new()];
        while let Some(character) = self.rest.chars().next() {
            if character == '}' || (character == ',' && self.nesting > 0) {
                break;
            }
            let after = &self.rest[character.len_utf8()..];
            self.check(character, after)?;
            if character == '{' {
                let alternatives = self.braces(after)?;
                texts = product(&texts, &alternatives)?;
                (self.before, self.is_at_start) = (Some('}'), false);
                continue;
            }
            self.is_at_start = false;
            let after = match character {
                '\\' => parse_escape(after)?.1,
                '[' => parse_set(after)?.1,
                _ => after,
            };
            let taken = &self.rest[..self.rest.len() - after.len()];
            for text in &mut texts {
                text.push_str(taken);
            }
            check_size(&texts)?;
            self.before = if character == '\\' { None } else { taken.chars().next_back() };
            self.rest = after;
        }
        Ok(texts)
    }

    /// Reads alternatives, from behind the opening brace to behind the closing one.
    fn braces(&mut self, after: &'a str) -> Result<Vec<String>, GlobProblem> {
        if self.nesting >= MAX_NESTING {
            return Err("its braces lie more than 16 deep within each other".to_owned());
        }
        self.nesting += 1;
        self.rest = after;
        let (mut alternatives, mut count) = (Vec::new(), 0);
        let is_at_start = self.is_at_start;
        loop {
            (self.before, self.is_at_start) = (None, is_at_start);
            alternatives.append(&mut self.sequence()?);
            check_size(&alternatives)?;
            count += 1;
            match self.rest.chars().next() {
                Some(',') => self.rest = &self.rest[1..],
                Some(_) => break,
                None => return Err(literal('{', "has no } behind it")),
            }
        }
        self.rest = &self.rest[1..];
        self.nesting -= 1;
        if count < 2 {
            return Err(literal(
                '{',
                "is followed by a single alternative: {a,b} is a or b, and ranges are written out, {1,2,3}",
            ));
        }
        Ok(alternatives)
    }

    /// Refuses a character that has a meaning elsewhere and none here.
    fn check(&self, character: char, after: &str) -> Result<(), GlobProblem> {
        let next = after.chars().next();
        let why = match character {
            '$' => "is no variable and no end of a name here",
            '%' => "is no part of a date here (write [0-9] or ? for its digits)",
            '^' => "is no beginning here, a glob matches a whole path",
            '|' => "does not separate alternatives, {a,b} does",
            '`' => "runs no command here",
            '(' if self.before.is_some_and(|before| "?*+@!".contains(before))
                || (self.is_at_start && next == Some('?')) =>
            {
                "does not begin a group; {a,b} is a or b, and what to leave out is a glob of its own"
            }
            '!' if self.is_at_start && next == Some('(') => {
                return Err(literal(
                    '(',
                    "does not begin a group; {a,b} is a or b, and what to leave out is a glob of its own",
                ));
            }
            '!' if self.is_at_start => "negates nothing here",
            '~' if self.is_at_start => "is no home directory here, paths are given from the log root on",
            '#' if self.is_at_start => "begins no comment here",
            '+' if self.before == Some(']') => "repeats nothing here, * is any number of characters",
            '/' if self.is_at_start => {
                return Err("it begins with /, but paths are given from the log root on".to_owned());
            }
            _ => return Ok(()),
        };
        Err(literal(character, why))
    }
}

/// Describes what is wrong with a character, and how it is written where a file's name has it.
fn literal(character: char, why: &str) -> GlobProblem {
    format!("{character} {why}; write \\{character} where a file's name has it")
}

fn product(beginnings: &[String], ends: &[String]) -> Result<Vec<String>, GlobProblem> {
    if beginnings.len().saturating_mul(ends.len()) > MAX_ALTERNATIVES {
        return Err(too_many());
    }
    let joined = beginnings.iter().flat_map(|one| ends.iter().map(move |other| format!("{one}{other}")));
    let texts: Vec<String> = joined.collect();
    check_size(&texts)?;
    Ok(texts)
}

fn check_size(texts: &[String]) -> Result<(), GlobProblem> {
    let bytes: usize = texts.iter().map(String::len).sum();
    if texts.len() > MAX_ALTERNATIVES || bytes > MAX_EXPANDED { Err(too_many()) } else { Ok(()) }
}

fn too_many() -> GlobProblem {
    format!("its braces come to more than {MAX_ALTERNATIVES} alternatives, or to more than {MAX_EXPANDED} bytes")
}
