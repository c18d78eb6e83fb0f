//! Open string enums: known values are variants, every other one is kept as it came (D-004).

use alloc::boxed::Box;
use core::fmt;

/// A value that the registry does not list. Made only by reading text, so a listed value never hides in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unlisted(Box<str>);

impl Unlisted {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For [`open_enum!`](crate::open_enum) alone, after it has compared the text with every listed value.
    #[doc(hidden)]
    pub fn new_checked(text: &str) -> Self {
        Self(text.into())
    }
}

/// Reads a JSON string and turns it into `T`.
#[doc(hidden)]
pub struct TextVisitor<F>(pub F);

impl<'de, T, F: FnOnce(&str) -> T> serde::de::Visitor<'de> for TextVisitor<F> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

/// Declares an open string enum, a line per value.
#[macro_export]
#[doc(hidden)]
macro_rules! open_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        ///
        /// Open: to match a value we do not list, compare [`as_str`](Self::as_str).
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $(#[$variant_meta])* $variant,)*
            /// A value the registry does not list, kept as it came.
            Other($crate::open::Unlisted),
        }

        impl $name {
            /// The listed values, in the registry's order.
            pub const LISTED: &'static [Self] = &[$(Self::$variant,)*];

            /// The text on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text.as_str(),
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    _ => Self::Other($crate::open::Unlisted::new_checked(text)),
                }
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::plain::Plain for $name {
            fn plain(cursor: &mut $crate::plain::Cursor<'_>) -> Option<Self> {
                cursor.text().map(|text| Self::from(&*text))
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::open::TextVisitor(|text: &str| Self::from(text)))
            }
        }
    };
}
