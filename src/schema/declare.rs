//! One declaration per key: a struct whose fields are the keys of a map. The reader, the messages about keys, docs/keys.md and the
//! JSON Schema all follow from it.
//!
//! ```
//! use pgvigil::{declare, schema::values::{flag, snake}};
//!
//! declare! {
//!     /// Someone who may send requests.
//!     pub struct Guest: "a guest" {
//!         /// The purpose of the key: editors and docs/keys.md show this sentence.
//!         name: String = snake(),
//!         /// Without this key, nobody is trusted.
//!         trusted: bool = flag().or(false),
//!     }
//! }
//! ```

use crate::schema::reader::Reader;
use crate::schema::words;
use crate::schema::yaml::Node;

/// Declares a map: its name in messages and its keys, each with its purpose, its type and its schema. A field has the name of its key,
/// unless `as` gives another key. Fields with `..`, before or after the others, are declared groups of keys that stand in the same map.
#[macro_export]
macro_rules! declare {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident: $what:literal {
            $(..$first:ident: $first_type:ty,)*
            $($(#[doc = $about:literal])* $field:ident $(as $key:literal)?: $type:ty = $schema:expr,)+
            $(..$group:ident: $group_type:ty,)*
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[doc = $about])* pub $field: $type,)*
            $(pub $first: $first_type,)*
            $(pub $group: $group_type,)*
        }

        const _: () = {
            use $crate::schema::form::Shape;
            use $crate::schema::reader::{Keys, Reader, Schema};
            use $crate::schema::yaml::Node;

            impl Keys for $name {
                fn shape() -> Shape {
                    Shape::new($what)
                        $(.with(<$first_type as Keys>::shape()))*
                        $(.key(Schema::<$type>::key(&$schema, $crate::key_name!($field $($key)?), concat!($($about),*))))*
                        $(.with(<$group_type as Keys>::shape()))*
                }

                fn read_keys(map: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                    // All at once: a field `text` must not hide the schema `text()` from the fields behind it.
                    let ($($field,)* $($first,)* $($group,)*) = (
                        $(Schema::<$type>::read_key(&$schema, map, $crate::key_name!($field $($key)?), reader),)*
                        $(<$first_type as Keys>::read_keys(map, reader),)*
                        $(<$group_type as Keys>::read_keys(map, reader),)*
                    );
                    Some($name { $($field: $field?,)* $($first: $first?,)* $($group: $group?,)* })
                }
            }
        };
    };
}

/// Declares keys of which exactly one must be present: a variant for each.
#[macro_export]
macro_rules! declare_one_of {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident: $what:literal {
            $($(#[doc = $about:literal])* $variant:ident($type:ty) as $key:literal = $schema:expr,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(::strum::IntoStaticStr, ::strum::VariantNames)]
        #[strum(const_into_str)]
        $vis enum $name {
            $($(#[doc = $about])* #[strum(serialize = $key)] $variant($type),)*
        }

        const _: () = {
            use ::strum::VariantNames;

            use $crate::schema::declare::only_one;
            use $crate::schema::form::Shape;
            use $crate::schema::reader::{Keys, Reader, Schema};
            use $crate::schema::yaml::Node;

            impl Keys for $name {
                fn shape() -> Shape {
                    let shape = Shape::new($what)
                        $(.key(Schema::<$type>::optional($schema).key($key, concat!($($about),*))))*;
                    Shape { one_of: Self::VARIANTS.to_vec(), ..shape }
                }

                fn read_keys(map: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                    match only_one($what, Self::VARIANTS, map, reader)? {
                        $($key => Schema::<$type>::read_key(&$schema, map, $key, reader).map($name::$variant),)*
                        _ => None,
                    }
                }
            }
        };
    };
}

/// The name of a key: that of its field, unless another is given.
#[doc(hidden)]
#[macro_export]
macro_rules! key_name {
    ($field:ident) => {
        stringify!($field).trim_start_matches("r#")
    };
    ($field:ident $key:literal) => {
        $key
    };
}

/// The first of these keys that is present. It is reported if there is none, or more than one.
pub fn only_one(what: &str, keys: &[&'static str], map: &Node, reader: &mut Reader<'_>) -> Option<&'static str> {
    let mut given = keys.iter().filter(|key| map.has(key));
    let Some(first) = given.next() else {
        let all = words::listed(keys.iter().copied());
        let empty = keys.iter().find_map(|key| Some((key, map.get(key)?)));
        match empty {
            Some((key, node)) => {
                let message = format!("`{key}` is empty: indent its keys further than `{key}` itself");
                reader.problems.add(&node.place, message);
            }
            None => reader.problems.add(&map.place, format!("{what} needs one of {all}")),
        }
        return None;
    };
    let noun = what.split_once(' ').map_or(what, |(_, noun)| noun);
    for other in given {
        let message = format!("{what} is one thing: `{first}` is given too, make this a {noun} of its own");
        reader.problems.add(&map.get(other).unwrap_or(map).place, message);
    }
    Some(first)
}
