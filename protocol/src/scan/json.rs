//! JSON text (RFC 8259), checked without parsing it into values.
//!
//! y-protocols parses presence, and Yjs embeds and formats, with `JSON.parse` and without a catch:
//! one bad text would stop every reader of the same frame. So the grammar is checked, not only the
//! depth.

use crate::limits::ANY_DEPTH_MAX;

/// What was wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON, at this byte.
    Grammar(usize),
    /// Nested deeper than `limits::ANY_DEPTH_MAX`, at this byte.
    Depth(usize),
}

/// Checks that `text` is one JSON value, at most `limits::ANY_DEPTH_MAX` deep.
pub fn check(text: &str) -> Result<(), Fault> {
    let mut walk = Walk { bytes: text.as_bytes(), at: 0, kinds: 0, depth: 0 };
    walk.value()?;
    match walk.peek() {
        None => Ok(()),
        Some(_) => Err(walk.fault()),
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The open containers, innermost in the lowest bit: 1 is an object.
    kinds: u64,
    depth: usize,
}

const _: () = assert!(ANY_DEPTH_MAX <= u64::BITS as usize, "a bit for each level");

impl Walk<'_> {
    /// One whole value with all its children.
    fn value(&mut self) -> Result<(), Fault> {
        loop {
            let opened = match self.peek() {
                Some(b'{') => self.open(true)?,
                Some(b'[') => self.open(false)?,
                _ => {
                    self.scalar()?;
                    false
                }
            };
            // A container that has children begins with one; anything else is complete.
            if !opened && self.close_complete()? {
                return Ok(());
            }
        }
    }

    /// Opens a container and, in an object, reads the first key. False if it is empty, and closed.
    fn open(&mut self, is_object: bool) -> Result<bool, Fault> {
        if self.depth == ANY_DEPTH_MAX {
            return Err(Fault::Depth(self.at));
        }
        self.at += 1;
        if self.peek() == Some(if is_object { b'}' } else { b']' }) {
            self.at += 1;
            return Ok(false);
        }
        self.kinds = self.kinds << 1 | u64::from(is_object);
        self.depth += 1;
        if is_object {
            self.key()?;
        }
        Ok(true)
    }

    /// After a complete value: goes to the next one (false), or through the ends of all containers
    /// that it completes, to the end of the outermost (true).
    fn close_complete(&mut self) -> Result<bool, Fault> {
        while self.depth > 0 {
            let is_object = self.kinds & 1 == 1;
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if is_object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if is_object => {}
                Some(b']') if !is_object => {}
                _ => return Err(self.fault()),
            }
            self.at += 1;
            self.kinds >>= 1;
            self.depth -= 1;
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault());
        }
        self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.fault());
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => Err(self.fault()),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.fault());
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.take(|byte| byte == b'-');
        if !self.take(|byte| byte == b'0') {
            self.digits()?;
        }
        if self.take(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.take(|byte| matches!(byte, b'e' | b'E')) {
            self.take(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        if !self.take(|byte| byte.is_ascii_digit()) {
            return Err(self.fault());
        }
        while self.take(|byte| byte.is_ascii_digit()) {}
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                _ => return Err(self.fault()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        if self.take(|byte| b"\"\\/bfnrt".contains(&byte)) {
            return Ok(());
        }
        let is_whole = self.take(|byte| byte == b'u')
            && (0..4).all(|_| self.take(|byte| byte.is_ascii_hexdigit()));
        if is_whole { Ok(()) } else { Err(self.fault()) }
    }

    fn take(&mut self, is_wanted: impl Fn(u8) -> bool) -> bool {
        let is_there = self.bytes.get(self.at).is_some_and(|byte| is_wanted(*byte));
        self.at += usize::from(is_there);
        is_there
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while self.take(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {}
        self.bytes.get(self.at).copied()
    }

    fn fault(&self) -> Fault {
        Fault::Grammar(self.at)
    }
}
