//! Finds the line of each node of a YAML text in one pass.
//!
//! serde_yaml reports positions only in its errors. So a visitor refuses every scalar, and the seed
//! takes the line from that error and continues: the scalar's event is consumed by then, and the
//! reader stays in step. That does not work for containers, which begin where their first key or
//! item does.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use crate::config::problem::FieldPath;

/// The lines of a text.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Members have the line of their key, items that of their first scalar.
    known: BTreeMap<FieldPath, usize>,
    /// The line where a key first appears for the second time in the same mapping.
    repeated: Option<usize>,
}

impl Lines {
    /// Reads a text. The lines after a syntax error stay unknown.
    pub(super) fn of(text: &str) -> Self {
        let mut lines = Self::default();
        let node = LineNode { at: FieldPath::default(), lines: &mut lines };
        if let Ok(Some(first)) = node.deserialize(serde_yaml::Deserializer::from_str(text)) {
            lines.known.insert(FieldPath::default(), first);
        }
        lines
    }

    /// The line of a field, or of the nearest existing one around it.
    pub(super) fn nearest(&self, field: &FieldPath) -> usize {
        let mut around =
            (0..=field.0.len()).rev().map(|length| FieldPath(field.0[..length].to_vec()));
        around.find_map(|path| self.known.get(&path).copied()).unwrap_or(1)
    }

    /// The line where a key first appears for the second time in the same mapping.
    pub(super) fn repeated(&self) -> Option<usize> {
        self.repeated
    }
}

/// A node. Its value is its first line; an empty container has none.
struct LineNode<'l> {
    at: FieldPath,
    lines: &'l mut Lines,
}

impl<'de> DeserializeSeed<'de> for LineNode<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let mut scalar = Scalar::default();
        match deserializer.deserialize_any(Probe { node: Some(self), scalar: &mut scalar }) {
            Err(error) if scalar.seen => Ok(Some(line_in(&error))),
            other => other,
        }
    }
}

/// A key: its line, and its text if it is a string.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = (Option<usize>, Option<String>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let mut scalar = Scalar::default();
        match deserializer.deserialize_any(Probe { node: None, scalar: &mut scalar }) {
            Err(error) if scalar.seen => Ok((Some(line_in(&error)), scalar.text)),
            Err(error) => Err(error),
            Ok(line) => Ok((line, None)),
        }
    }
}

#[derive(Default)]
struct Scalar {
    /// Whether the error is the refusal of a scalar, after which reading may continue.
    seen: bool,
    text: Option<String>,
}

/// Walks containers and refuses scalars. Without a node it records no lines.
struct Probe<'l, 's> {
    node: Option<LineNode<'l>>,
    scalar: &'s mut Scalar,
}

impl Probe<'_, '_> {
    fn refuse<E: de::Error>(self, text: Option<&str>) -> Result<Option<usize>, E> {
        *self.scalar = Scalar { seen: true, text: text.map(str::to_owned) };
        Err(E::custom("here"))
    }
}

impl<'de> Visitor<'de> for Probe<'_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        self.refuse(None)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
        self.refuse(None)
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Self::Value, E> {
        self.refuse(None)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
        self.refuse(None)
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Self::Value, E> {
        self.refuse(None)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        self.refuse(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        self.refuse(None)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        self.refuse(Some(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Some(LineNode { at, lines }) = self.node else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(None);
        };
        let mut first = None;
        for index in 0.. {
            let at = at.index(index);
            let item = LineNode { at: at.clone(), lines: &mut *lines };
            let Some(line) = seq.next_element_seed(item)? else { break };
            lines.known.extend(line.map(|line| (at, line)));
            first = first.or(line);
        }
        Ok(first)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some(LineNode { at, lines }) = self.node else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(None);
        };
        let (mut first, mut names) = (None, HashSet::new());
        while let Some((line, name)) = map.next_key_seed(Name)? {
            first = first.or(line);
            let Some(name) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let at = at.key(&name);
            if !names.insert(name) {
                lines.repeated = lines.repeated.or(line);
            }
            lines.known.extend(line.map(|line| (at.clone(), line)));
            map.next_value_seed(LineNode { at, lines: &mut *lines })?;
        }
        Ok(first)
    }

    /// A tag: the tagged value counts.
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Self::Value, A::Error> {
        let (_, tagged) = data.variant::<IgnoredAny>()?;
        match self.node {
            Some(node) => tagged.newtype_variant_seed(node),
            None => tagged.newtype_variant::<IgnoredAny>().map(|_| None),
        }
    }
}

/// serde_yaml ends its messages with the position. The very first character has none.
fn line_in(error: &impl fmt::Display) -> usize {
    let message = error.to_string();
    let place = message.rsplit_once(" at line ").and_then(|(_, place)| place.split(' ').next());
    place.and_then(|line| line.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_on_its_line_however_it_is_written() {
        let text = "\
a: 1
b:
  c: [x,
    y, {d: z}]
  'e f': |
    text
    more
  g: !tag value
h: &anchor
  - i: ~
  - 2.5
j: *anchor
k: >-
  folded
";
        let lines = Lines::of(text);
        let root = FieldPath::default();
        let (b, h) = (root.key("b"), root.key("h"));
        for (field, line) in [
            (root.key("a"), 1),
            (b.clone(), 2),
            (b.key("c"), 3),
            (b.key("c").index(0), 3),
            (b.key("c").index(1), 4),
            (b.key("c").index(2).key("d"), 4),
            (b.key("e f"), 5),
            (b.key("g"), 8),
            (h.clone(), 9),
            (h.index(0).key("i"), 10),
            (h.index(1), 11),
            (root.key("j"), 12),
            (root.key("k"), 13),
            // A missing field has the line of the nearest one around it.
            (b.key("absent"), 2),
            (h.index(0).key("absent"), 10),
        ] {
            assert_eq!(lines.nearest(&field), line, "{field}");
        }
        assert_eq!(lines.repeated(), None);
        assert_eq!(Lines::of("a: 1\nb: {c: 2,\n c: 3}\na: 4\n").repeated(), Some(3));
    }
}
