//! The macro behind every JSON object of the protocol, and the members it does not know.
//!
//! Derived code cannot do what the specification asks: it refuses a repeated key where the last one wins, refuses
//! null where null means absent (D-010), and drops or reorders what it does not know. So every object is declared
//! with [`object!`](crate::object), which reads members in any order and writes them in declaration order, unknown
//! ones at the place they came from.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::content::Unseen;

/// Any JSON value, kept as the text it came in.
#[derive(Clone)]
pub struct Raw(Box<RawValue>);

impl Raw {
    /// The value `value` serialises to.
    ///
    /// # Errors
    /// Only if `value` itself refuses to be serialised; no type of this crate does.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// The JSON text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads the text as a `T`.
    ///
    /// # Errors
    /// When the text is of another shape.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}

/// A value that nobody has read may hold anything: a content, a secret.
impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Unseen(self.get()).fmt(f)
    }
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

/// One member we have no field for, or a known one that was written as null.
#[derive(Clone, Debug, PartialEq)]
struct Member {
    /// How many members stood before it.
    position: usize,
    key: Box<str>,
    value: Raw,
}

/// The members of an object that its type has no field for, in their order and at their place (ENV-15, EXT-05).
///
/// A known optional member that came as `null` is remembered here too: it counts as absent (D-010) and is still
/// written back as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra(Vec<Member>);

impl Extra {
    /// The JSON text of the last member called `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|member| &*member.key == key).map(|member| member.value.get())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|member| &*member.key)
    }

    /// Adds a member behind all others, in place of one of the same key.
    pub fn insert(&mut self, key: &str, value: Raw) {
        self.0.retain(|member| &*member.key != key);
        self.0.push(Member { position: usize::MAX, key: key.into(), value });
    }

    /// Gives the member called `key` another value, at its place; adds it behind all others where there is none.
    pub fn replace(&mut self, key: &str, value: Raw) {
        match self.0.iter_mut().find(|member| &*member.key == key) {
            Some(member) => member.value = value,
            None => self.insert(key, value),
        }
    }

    /// Takes away the member called `key`.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|member| &*member.key != key);
    }

    #[doc(hidden)]
    pub fn read_member(&mut self, position: usize, key: Cow<'_, str>, value: Raw) {
        self.0.push(Member { position, key: key.into_owned().into_boxed_str(), value });
    }
}

impl Extra {
    /// After reading: of a repeated key the last member counts.
    #[doc(hidden)]
    #[must_use]
    pub fn settled(mut self) -> Self {
        if self.0.len() < 2 {
            return self;
        }
        let last: BTreeMap<Box<str>, usize> =
            self.0.iter().enumerate().map(|(at, member)| (member.key.clone(), at)).collect();
        if last.len() < self.0.len() {
            let mut at = 0;
            self.0.retain(|member| {
                at += 1;
                last.get(&member.key) == Some(&(at - 1))
            });
        }
        self
    }
}

/// A member that may be null and means it: absent, null and a value are three things
/// (`backend_detail.status_detail`, D-010).
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way to be nullable")]
pub enum Nullable<T> {
    /// Written as null.
    Null,
    /// A value.
    Value(T),
}

impl<T: Serialize> Serialize for Nullable<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nullable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Null, Self::Value))
    }
}

/// A member that another implementation writes as an empty text where it has no value (REC-19).
#[doc(hidden)]
pub struct NotEmpty<T>(pub Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NotEmpty<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<Cow<'de, str>>::deserialize(deserializer)?.filter(|text| !text.is_empty());
        text.map(|text| T::deserialize(text.into_deserializer())).transpose().map(Self)
    }
}

/// A member that counts as absent where it cannot be read (REC-19).
#[doc(hidden)]
pub struct Readable<T>(pub Option<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Readable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(|raw| Self(raw.read().ok()))
    }
}

/// An object used as a map, in the order its entries came; of a repeated key the last one counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered<V>(Vec<(Box<str>, V)>);

impl<V> Ordered<V> {
    /// The entries in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &V)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.0.iter().find(|(known, _)| **known == *key).map(|(_, value)| value)
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: AsRef<str>, V> FromIterator<(K, V)> for Ordered<V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        // The last place of a repeated key would cost a search an entry; a map finds repeats once, afterwards.
        let mut map = BTreeMap::new();
        let mut list: Vec<Option<(Box<str>, V)>> = Vec::new();
        for (key, value) in entries {
            let key: Box<str> = key.as_ref().into();
            if let Some(earlier) = map.insert(key.clone(), list.len())
                && let Some(slot) = list.get_mut(earlier)
            {
                *slot = None;
            }
            list.push(Some((key, value)));
        }
        Self(list.into_iter().flatten().collect())
    }
}

impl<V: Serialize> Serialize for Ordered<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor<V>(core::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for MapVisitor<V> {
            type Value = Ordered<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(entries.into_iter().collect())
            }
        }
        deserializer.deserialize_map(MapVisitor(core::marker::PhantomData))
    }
}

/// A JSON object's key, borrowed where it has no escapes.
#[doc(hidden)]
pub struct Key<'de>(pub Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.into())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Writes members in order, unknown ones where they stood.
#[doc(hidden)]
pub struct Members<'a, M, P> {
    map: M,
    written: usize,
    extra: core::iter::Peekable<core::slice::Iter<'a, Member>>,
    set: P,
}

impl<'a, M: SerializeMap, P: Fn(&str) -> bool> Members<'a, M, P> {
    /// `set` says which keys have a value in a field: a null remembered for such a key is stale.
    pub fn new(map: M, extra: &'a Extra, set: P) -> Self {
        Self { map, written: 0, extra: extra.0.iter().peekable(), set }
    }

    fn write_extra(&mut self, up_to: usize) -> Result<(), M::Error> {
        while let Some(member) = self.extra.next_if(|member| member.position <= up_to) {
            if !(self.set)(&member.key) {
                self.map.serialize_entry(&*member.key, &member.value)?;
            }
            self.written += 1;
        }
        Ok(())
    }

    /// Writes a known member.
    pub fn member<T: Serialize>(&mut self, key: &'static str, value: &T) -> Result<(), M::Error> {
        self.write_extra(self.written)?;
        self.written += 1;
        self.map.serialize_entry(key, value)
    }

    /// Writes what is left and closes the object.
    pub fn end(mut self) -> Result<M::Ok, M::Error> {
        self.write_extra(usize::MAX)?;
        self.map.end()
    }
}

/// Declares a JSON object: `req` members must be there, `opt` ones may be absent or null, `null` ones are written as
/// null when they have no value (snapshots only), `tri` ones tell null from absent ([`Nullable`]). What others store may have odd
/// values: `void` and `lax` ones are written like `null` ones, and have no value either where an empty text stands, or anything that
/// cannot be read.
///
/// Gives a `#[non_exhaustive]` struct with public fields and [`Extra`], `new` with the required members, and serde
/// both ways. A key that is no identifier is given with `as "key"`. Within this crate an object with `: Plain` behind its name can be read
/// in the quick way, too ([`plain`](crate::plain)): there a member that is read `by` another one is quick where it comes behind it.
#[macro_export]
#[doc(hidden)]
macro_rules! object {
    ($(#[$meta:meta])* pub struct $name:ident $(: $plain:ident)? { $($body:tt)* }) => {
        $crate::object!(@collect [$(#[$meta])* $name [$($plain)?]] [] [] $($body)*);
    };

    // One member a step: `all` keeps every member, `required` those that `new` takes.
    (@collect $head:tt [$($all:tt)*] [$($required:tt)*]
        $(#[$meta:meta])* req $field:ident $(as $key:literal)? $(by $by:ident)? : $type:ty, $($rest:tt)*) => {
        $crate::object!(@collect $head
            [$($all)* { [$(#[$meta])*] req $field [$($key)?] [$($by)?] $type }] [$($required)* { $field $type }] $($rest)*);
    };
    (@collect $head:tt [$($all:tt)*] $required:tt
        $(#[$meta:meta])* $kind:ident $field:ident $(as $key:literal)? : $type:ty, $($rest:tt)*) => {
        $crate::object!(@collect $head
            [$($all)* { [$(#[$meta])*] $kind $field [$($key)?] [] $type }] $required $($rest)*);
    };

    (@collect [$(#[$meta:meta])* $name:ident $plain:tt]
        [$({ [$(#[$field_meta:meta])*] $kind:ident $field:ident $key:tt $by:tt $type:ty })*]
        [$({ $required:ident $required_type:ty })*]) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $crate::object!(@type $kind $type),)*
            /// Members we have no field for.
            pub extra: $crate::object::Extra,
        }

        impl $name {
            /// The keys it knows, in their order: for a configuration's "did you mean".
            pub const KEYS: &'static [&'static str] = &[$($crate::object!(@key $field $key)),*];

            /// With the required members; the others are absent.
            #[allow(
                clippy::too_many_arguments,
                clippy::new_without_default,
                reason = "one argument for each required member, be it many or none"
            )]
            pub fn new($($required: $required_type),*) -> Self {
                Self { $($field: $crate::object!(@initial $kind $field),)* extra: $crate::object::Extra::default() }
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let set = |key: &str| match key {
                    $($crate::object!(@key $field $key) => $crate::object!(@set self $kind $field),)*
                    _ => false,
                };
                let map = ::serde::Serializer::serialize_map(serializer, None)?;
                #[allow(unused_mut, reason = "an object without known members writes none")]
                let mut members = $crate::object::Members::new(map, &self.extra, set);
                $($crate::object!(@write self members $kind $field $key);)*
                members.end()
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor;
                impl<'de> ::serde::de::Visitor<'de> for ObjectVisitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: ::serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        $(let mut $field: Option<$type> = None;)*
                        let mut extra = $crate::object::Extra::default();
                        let mut position = 0_usize;
                        while let Some($crate::object::Key(key)) = map.next_key()? {
                            match &*key {
                                $($crate::object!(@key $field $key) => {
                                    $field = $crate::object!(@read $kind map);
                                    if $field.is_none() && $crate::object!(@keeps_null $kind) {
                                        extra.read_member(position, key, $crate::object::Raw::of(&())
                                            .map_err(::serde::de::Error::custom)?);
                                    }
                                })*
                                _ => extra.read_member(position, key, map.next_value()?),
                            }
                            position += 1;
                        }
                        let extra = extra.settled();
                        Ok($name { $($field: $crate::object!(@take $kind $field $key),)* extra })
                    }
                }
                deserializer.deserialize_map(ObjectVisitor)
            }
        }

        $crate::plainly!($plain $name $({ $kind $field $key $by $type })*);
    };

    (@type req $type:ty) => { $type };
    (@type $kind:ident $type:ty) => { Option<$type> };
    (@key $field:ident []) => { stringify!($field) };
    (@key $field:ident [$key:literal]) => { $key };
    (@initial req $field:ident) => { $field };
    (@initial $kind:ident $field:ident) => { None };
    (@set $self:ident req $field:ident) => { true };
    (@set $self:ident $kind:ident $field:ident) => { $self.$field.is_some() };
    (@read tri $map:ident) => { Some($map.next_value()?) };
    (@read void $map:ident) => { $map.next_value::<$crate::object::NotEmpty<_>>()?.0 };
    (@read lax $map:ident) => { $map.next_value::<$crate::object::Readable<_>>()?.0 };
    (@read $kind:ident $map:ident) => { $map.next_value()? };
    (@keeps_null opt) => { true };
    (@keeps_null $kind:ident) => { false };
    (@write $self:ident $members:ident opt $field:ident $key:tt) => {
        if let Some(value) = &$self.$field {
            $members.member($crate::object!(@key $field $key), value)?;
        }
    };
    (@write $self:ident $members:ident tri $field:ident $key:tt) => {
        $crate::object!(@write $self $members opt $field $key)
    };
    (@write $self:ident $members:ident $kind:ident $field:ident $key:tt) => {
        $members.member($crate::object!(@key $field $key), &$self.$field)?
    };
    (@take req $field:ident $key:tt) => {
        $field.ok_or_else(|| ::serde::de::Error::missing_field($crate::object!(@key $field $key)))?
    };
    (@take $kind:ident $field:ident $key:tt) => { $field };
}
