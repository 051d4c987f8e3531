//! JSON as nodes write it: no escapes, no numbers but plain ones, and no nesting but what the caller asks for.

use memchr::{memchr, memchr2};

use super::{Unusual, Usual};

const BACKSLASH: u8 = b'\\';

/// What is left to read. No call goes deeper by itself, so the depth is that of the caller's own calls.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Reads an object, handing over each key with the cursor at its value. Keys are checked by `text`.
    pub(super) fn object(&mut self, mut entry: impl FnMut(&mut Self, &'a [u8]) -> Usual<()>) -> Usual<()> {
        self.expect(b'{')?;
        if self.found(b'}') {
            return Ok(());
        }
        loop {
            let key = self.text()?;
            self.expect(b':')?;
            entry(self, key)?;
            if !self.found(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// Reads an array, with the cursor at each item in turn.
    pub(super) fn array(&mut self, mut item: impl FnMut(&mut Self) -> Usual<()>) -> Usual<()> {
        self.expect(b'[')?;
        if self.found(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.found(b',') {
                return self.expect(b']');
            }
        }
    }

    /// A string of printable ASCII without escapes.
    pub(super) fn text(&mut self) -> Usual<&'a [u8]> {
        let text = self.unchecked_text()?;
        // Without an early way out, so that many bytes are looked at at once.
        let odd = text.iter().fold(false, |odd, byte| odd | !matches!(byte, b' '..=b'~') | (*byte == BACKSLASH));
        if odd { Err(Unusual) } else { Ok(text) }
    }

    /// A string up to the next quote, for callers who check every byte of it anyway.
    pub(super) fn unchecked_text(&mut self) -> Usual<&'a [u8]> {
        self.expect(b'"')?;
        let length = memchr(b'"', self.rest).ok_or(Unusual)?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(Unusual)?;
        self.rest = rest.get(1..).ok_or(Unusual)?;
        Ok(text)
    }

    /// Whether the next value is just this string; it is taken then.
    pub(super) fn found_text(&mut self, text: &[u8]) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(b"\"").and_then(|rest| rest.strip_prefix(text));
        match rest.and_then(|rest| rest.strip_prefix(b"\"")) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Whether the next value is null; it is taken then.
    pub(super) fn found_null(&mut self) -> bool {
        self.found_word(b"null")
    }

    fn found_word(&mut self, word: &[u8]) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Whether the next value is a string.
    pub(super) fn is_text(&mut self) -> bool {
        self.skip_space();
        self.rest.first() == Some(&b'"')
    }

    /// A whole number without a sign, a point or an exponent, below 2^64.
    pub(super) fn number(&mut self) -> Usual<u64> {
        self.skip_space();
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (text, rest) = self.rest.split_at_checked(digits).ok_or(Unusual)?;
        if text.len() > 1 && text.first() == Some(&b'0') {
            return Err(Unusual);
        }
        self.rest = rest;
        str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Unusual)
    }

    /// Passes over a value nobody asked for, which must be a string, a plain number, a truth value or null.
    pub(super) fn skip(&mut self) -> Usual<()> {
        if self.is_text() {
            self.text().map(drop)
        } else if self.found_null() || self.found_word(b"false") || self.found_word(b"true") {
            Ok(())
        } else {
            self.number().map(drop)
        }
    }

    /// The bytes of an object up to its end, which is found by counting brackets; whether it is JSON is not looked at.
    pub(super) fn whole_object(&mut self) -> Usual<&'a [u8]> {
        self.skip_space();
        let whole = self.rest;
        self.expect(b'{')?;
        let mut depth = 1_usize;
        while depth > 0 {
            let (byte, rest) = self.rest.split_first().ok_or(Unusual)?;
            self.rest = rest;
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => self.skip_string()?,
                _ => {}
            }
        }
        whole.get(..whole.len() - self.rest.len()).ok_or(Unusual)
    }

    /// Goes behind the quote that ends a string, which an escaped one does not.
    fn skip_string(&mut self) -> Usual<()> {
        loop {
            let at = memchr2(b'"', BACKSLASH, self.rest).ok_or(Unusual)?;
            let found = self.rest.get(at).ok_or(Unusual)?;
            let length = if *found == BACKSLASH { 2 } else { 1 };
            self.rest = self.rest.get(at + length..).ok_or(Unusual)?;
            if *found != BACKSLASH {
                return Ok(());
            }
        }
    }

    /// Nothing but space may be left.
    pub(super) fn finish(mut self) -> Usual<()> {
        self.skip_space();
        if self.rest.is_empty() { Ok(()) } else { Err(Unusual) }
    }

    fn skip_space(&mut self) {
        while let Some((b' ' | b'\t' | b'\n' | b'\r', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
    }

    fn found(&mut self, wanted: u8) -> bool {
        self.skip_space();
        match self.rest.split_first() {
            Some((byte, rest)) if *byte == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, wanted: u8) -> Usual<()> {
        if self.found(wanted) { Ok(()) } else { Err(Unusual) }
    }
}
