//! The quick way to read a message, for messages as nearly everybody writes them.
//!
//! An object tries its members in their order, so that a key is one comparison where the sender keeps to that order, and the
//! payload is read where it stands, by the type that stands before it: what came is gone through once. `serde` goes through a
//! payload twice, looks each key up, and takes more than twice the instructions.
//!
//! This way refuses nothing. Whatever is not plain gives `None`: a member that is unknown, repeated or null, and every error. Then the
//! whole text is read with `serde`, which knows what to make of it, and says what is wrong. What is read in both ways is the same;
//! `tests/it/both_ways.rs` and the fuzz targets hold them to it. A text that turns out not to be plain is gone through once more, at the
//! most; the members of an object are tried as often as there are steps back in their order, and there are few members.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;

use crate::envelope::Envelope;
use crate::message::Message;
use crate::object::{Ordered, Raw};
use crate::payload::{conflict, error, intent, operation, session};

/// An envelope and what its payload says, if both are plain.
pub(crate) fn read(text: &Arc<str>) -> Option<(Box<Envelope>, Box<Message>)> {
    let mut cursor = Cursor { text, whole: text, at: 0, message: None };
    cursor.skip_space();
    let envelope = Box::new(Envelope::plain(&mut cursor)?);
    cursor.skip_space();
    let is_all = cursor.at == text.len();
    Some((envelope, cursor.message.filter(|_| is_all)?))
}

/// What can be read where a cursor stands. What is rare need not be quick.
pub trait Plain: DeserializeOwned {
    /// Reads it and moves behind it. `None`: not in this way.
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.other()
    }
}

/// A place in a text. After `None` from any of its methods it may be anywhere.
#[derive(Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    /// The same, for whoever keeps a part of it.
    whole: &'a Arc<str>,
    at: usize,
    /// What the payload says, once it has been read.
    message: Option<Box<Message>>,
}

impl<'a> Cursor<'a> {
    /// How far it is.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// All of the text.
    pub(crate) const fn whole(&self) -> &'a Arc<str> {
        self.whole
    }

    /// Keeps what the payload says for whoever wants it.
    pub(crate) fn keep(&mut self, message: Box<Message>) {
        self.message = Some(message);
    }

    /// Into an object, to its first member.
    #[inline]
    pub(crate) fn open(&mut self) -> Option<()> {
        self.take(b'{')?;
        self.skip_space();
        Some(())
    }

    /// Out of an object, if it ends here.
    #[inline]
    pub(crate) fn close(&mut self) -> bool {
        self.take(b'}').is_some()
    }

    /// To the value of a member, if this is its key: with quotes, and the colon right behind them.
    #[inline]
    pub(crate) fn key(&mut self, key: &str) -> bool {
        let is_it = self.rest().starts_with(key.as_bytes());
        if is_it {
            self.at += key.len();
            self.skip_space();
        }
        is_it
    }

    /// From the end of a member to the next one, or to the end of the object.
    #[inline(never)] // once for each member: in the cache when it is called
    pub(crate) fn next_member(&mut self) -> Option<()> {
        self.skip_space();
        match self.peek()? {
            b'}' => Some(()),
            b',' => {
                self.at += 1;
                self.skip_space();
                (self.peek()? == b'"').then_some(())
            }
            _ => None,
        }
    }

    /// A string.
    #[inline]
    pub(crate) fn text(&mut self) -> Option<Cow<'a, str>> {
        let quote = self.at;
        self.take(b'"')?;
        let begin = self.at;
        self.at += unescaped(self.rest());
        match self.peek()? {
            b'"' => {
                let text = self.text.get(begin..self.at)?;
                self.at += 1;
                Some(Cow::Borrowed(text))
            }
            b'\\' => {
                self.at = quote;
                self.other().map(Cow::Owned)
            }
            _ => None,
        }
    }

    /// A number that is `MOST` digits at the most, and nothing else. Stays where it is for any other.
    #[inline]
    pub(crate) fn digits<const MOST: usize>(&mut self) -> Option<u64> {
        const { assert!(MOST < 20, "a number of as many digits fits into the result") };
        let rest = self.rest();
        let count = rest.iter().take(MOST + 1).take_while(|byte| byte.is_ascii_digit()).count();
        let ends = matches!(rest.get(count)?, b',' | b'}' | b']');
        let leads_with_zero = count > 1 && rest.first() == Some(&b'0');
        if count == 0 || count > MOST || !ends || leads_with_zero {
            return None;
        }
        self.at += count;
        Some(rest.iter().take(count).fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
    }

    /// Anything but null, which as a member's value means that there is none (D-010), with `serde`.
    pub(crate) fn other<T: Deserialize<'a>>(&mut self) -> Option<T> {
        if self.peek()? == b'n' {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(self.text.get(self.at..)?).into_iter();
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(value)
    }

    fn list<T: Plain>(&mut self) -> Option<Vec<T>> {
        self.take(b'[')?;
        self.skip_space();
        let mut list = Vec::new();
        if self.take(b']').is_some() {
            return Some(list);
        }
        loop {
            list.push(T::plain(self)?);
            self.skip_space();
            if self.take(b']').is_some() {
                return Some(list);
            }
            self.take(b',')?;
            self.skip_space();
        }
    }

    fn entries<V: Plain>(&mut self) -> Option<Ordered<V>> {
        self.open()?;
        let mut entries = Vec::new();
        while !self.close() {
            let key = self.text()?;
            self.skip_space();
            self.take(b':')?;
            self.skip_space();
            entries.push((key, V::plain(self)?));
            self.next_member()?;
        }
        Some(entries.into_iter().collect())
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    #[inline]
    fn skip_space(&mut self) {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            self.skip_all_space();
        }
    }

    #[inline(never)] // after each token: small where there is none
    fn skip_all_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }
}

/// How many bytes there are before the first that ends a string, begins an escape or has no place in a string (RFC 8259 §7).
/// Eight are looked at together: a byte that becomes zero, or is below a space, has its highest bit set where a subtraction
/// borrows from it, and the lowest one found is never wrong.
#[inline]
fn unescaped(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = EACH << 7;
    let below = |word: u64, least: u8| word.wrapping_sub(EACH * u64::from(least)) & !word & HIGHEST;
    let mut at = 0;
    while let Some(part) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*part);
        let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
        let found = is(b'"') | is(b'\\') | below(word, b' ');
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    bytes.get(at..).and_then(|rest| rest.iter().position(ends)).map_or(bytes.len(), |more| at + more)
}

impl Plain for String {
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.text().map(Cow::into_owned)
    }
}

impl<T: Plain> Plain for Box<T> {
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        T::plain(cursor).map(Self::new)
    }
}

impl Plain for SmolStr {
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.text().map(Self::from)
    }
}

impl<T: Plain> Plain for Vec<T> {
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.list()
    }
}

impl<V: Plain> Plain for Ordered<V> {
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.entries()
    }
}

/// Reads an object in the quick way, where [`object!`](crate::object) was told `: Plain`: its members in their order as long as they come
/// in it, then again from the first.
#[macro_export]
#[doc(hidden)]
macro_rules! plainly {
    ([] $name:ident $($member:tt)*) => {};
    ([Plain] $name:ident $({ $kind:ident $field:ident $key:tt $by:tt $type:ty })*) => {
        impl $crate::plain::Plain for $name {
            fn plain(cursor: &mut $crate::plain::Cursor<'_>) -> Option<Self> {
                cursor.open()?;
                $(let mut $field: Option<$type> = None;)*
                while !cursor.close() {
                    let before = cursor.at();
                    $(if $field.is_none()
                        && cursor.key(concat!("\"", $crate::object!(@key $field $key), "\":"))
                    {
                        $field = Some($crate::plainly!(@value cursor $by $type));
                        cursor.next_member()?;
                    })*
                    if cursor.at() == before {
                        return None;
                    }
                }
                Some(Self {
                    $($field: $crate::plainly!(@take $kind $field),)*
                    extra: $crate::object::Extra::default(),
                })
            }
        }
    };
    (@value $cursor:ident [] $type:ty) => { <$type as $crate::plain::Plain>::plain($cursor)? };
    (@value $cursor:ident [$by:ident] $type:ty) => { <$type>::plain_by($cursor, $by.as_ref()?)? };
    (@take req $field:ident) => { $field? };
    (@take $kind:ident $field:ident) => { $field };
}

/// What is rare, or has no parts that this way knows.
macro_rules! other {
    ($($type:ty,)*) => { $(impl Plain for $type {})* };
}

other! {
    Raw,
    conflict::ConflictAck,
    conflict::ConflictEscalate,
    conflict::ConflictReport,
    conflict::Resolution,
    error::ProtocolError,
    intent::IntentClaimStatus,
    operation::OpReject,
    session::BackendHealth,
    session::CoordinatorStatus,
    session::Goodbye,
    session::Hello,
    session::SessionClose,
    session::SessionInfo,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Integer;
    use crate::time::Seconds;

    /// What a value that begins the text is, and what is left behind it.
    fn value<T: Plain>(text: &str) -> Option<(T, String)> {
        let whole = Arc::from(text);
        let mut cursor = Cursor { text, whole: &whole, at: 0, message: None };
        let value = T::plain(&mut cursor)?;
        Some((value, text[cursor.at..].into()))
    }

    #[test]
    fn a_string_ends_where_it_ends() {
        for length in 0..40 {
            let inside = "é/".repeat(length);
            for behind in ["", ",", ",\"another\"", "}                    "] {
                let text = alloc::format!("\"{inside}\"{behind}");
                assert_eq!(value(&text), Some((inside.clone(), behind.into())), "{text}");
            }
            assert_eq!(value::<String>(&alloc::format!("\"{inside}")), None, "it has no end");
            for control in ["\n", "\0", "\u{1f}"] {
                assert_eq!(value::<String>(&alloc::format!("\"{inside}{control}\"")), None);
            }
            let escaped = alloc::format!(r#""{inside}\"\u00e9\n{inside}","#);
            let read = alloc::format!("{inside}\"é\n{inside}");
            assert_eq!(value(&escaped), Some((read, ",".into())));
        }
        assert_eq!(value::<String>(r#""\x""#), None);
        assert_eq!(value::<String>("7"), None);
    }

    #[test]
    fn a_number_is_plain_or_read_by_serde() {
        for text in ["0,", "7}", "123456789012345]", "9007199254740991,", "8.0,", "8e0 ", "12 ,"] {
            let slow: Integer = serde_json::from_str(text.trim_end_matches([',', '}', ']'])).unwrap();
            let (read, _) = value::<Integer>(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(&slow).unwrap());
        }
        for text in ["07,", "-1,", "9007199254740992,", "7x", "", ",", "\"7\","] {
            assert_eq!(value::<Integer>(text), None, "{text}");
        }
        for text in ["60,", "60.0,", "0.5}", "\"60\",", "4294967296,"] {
            let slow: Seconds = serde_json::from_str(&text[..text.len() - 1]).unwrap();
            let (read, behind) = value::<Seconds>(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(&slow).unwrap());
            assert_eq!(behind.len(), 1);
        }
    }

    #[test]
    fn lists_and_entries_have_commas_between_and_nowhere_else() {
        type Texts = Vec<String>;
        assert_eq!(value::<Texts>("[]"), Some((Vec::new(), String::new())));
        assert_eq!(value::<Texts>("[ \"a\" ,\n\"b\"]").unwrap().0, ["a", "b"]);
        for text in ["[,]", "[\"a\",]", "[\"a\" \"b\"]", "[\"a\"", "[\"a\",null]", "{}"] {
            assert_eq!(value::<Texts>(text), None, "{text}");
        }
        let (read, _) = value::<Ordered<String>>(r#"{"a": "1","b":"2" , "a":"3"}"#).unwrap();
        let slow: Ordered<String> = serde_json::from_str(r#"{"b":"2","a":"3"}"#).unwrap();
        assert_eq!(read, slow, "of a repeated key the last one counts");
        for text in [r#"{"a":"1",}"#, r#"{,}"#, r#"{"a" "1"}"#, r#"{"a":"1" "b":"2"}"#, r#"{"a":"1""#] {
            assert_eq!(value::<Ordered<String>>(text), None, "{text}");
        }
    }
}
