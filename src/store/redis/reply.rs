//! Parses the answers of the server.

use redis::{FromRedisValue, ParsingError, RedisResult, Value};

use super::fault;
use crate::store::record::{Read, Record};
use crate::store::{Loss, Position, StoreError};

/// A list, and nothing else. The crate takes `nil` for an empty list, so that a missing answer
/// would read as "no entries".
#[derive(Debug)]
pub(super) struct ReplyList<T>(pub(super) Vec<T>);

impl<T: FromRedisValue> FromRedisValue for ReplyList<T> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the Redis crate's")]
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        match value {
            Value::Array(items) => {
                items.into_iter().map(T::from_redis_value).collect::<Result<_, _>>().map(Self)
            }
            _ => Err("not a list".to_owned().into()),
        }
    }
}

/// Texts in a list, each followed by a value that may be absent: whole pairs, and no text is
/// absent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pairs(pub(super) Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl FromRedisValue for Pairs {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let ReplyList(items): ReplyList<Value> = FromRedisValue::from_redis_value(value)?;
        let mut items = items.into_iter();
        let mut pairs = Vec::with_capacity(items.len() / 2);
        while let Some(text) = items.next() {
            pairs.push(match (text, items.next()) {
                (Value::BulkString(text), Some(Value::BulkString(other))) => (text, Some(other)),
                (Value::BulkString(text), Some(Value::Nil)) => (text, None),
                (_, _) => return Err("not a list of pairs".to_owned().into()),
            });
        }
        Ok(Self(pairs))
    }
}

/// A yes or no: 1 or 0, and nothing else. The crate takes `nil` for a no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flag(pub(super) bool);

impl FromRedisValue for Flag {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the Redis crate's")]
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        match value {
            Value::Int(0) => Ok(Self(false)),
            Value::Int(1) => Ok(Self(true)),
            _ => Err("neither 0 nor 1".to_owned().into()),
        }
    }
}

/// The answer of a script that first names its subject.
///
/// # Errors
///
/// If the subject is not `asked`: answers and questions are out of step.
pub(super) fn about<T>(asked: &str, (about, answer): (String, T)) -> RedisResult<T> {
    if about == asked { Ok(answer) } else { Err(fault::out_of_step()) }
}

/// An entry of the log, not yet decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StreamEntry {
    /// `None` for an id that no gateway wrote.
    pub(super) sequence: Option<u64>,
    pub(super) record: Vec<u8>,
}

/// The record at a position of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldRecord {
    /// No entry.
    Nothing,
    /// An entry with this mark; `None` if it is not a revocation.
    Entry(Option<u64>),
}

impl HeldRecord {
    /// Decodes the record at a position.
    pub(super) fn from_record(record: Option<&[u8]>) -> Result<Self, StoreError> {
        let Some(record) = record else { return Ok(Self::Nothing) };
        Ok(Self::Entry(match Record::decode(record)? {
            Read::Record(record) => Some(record.mark),
            Read::Other => None,
        }))
    }

    /// Whether this is certainly the log that the position belongs to.
    pub(super) fn confirms(self, position: Position) -> bool {
        match self {
            Self::Entry(mark) => position.mark.is_none() || position.mark == mark,
            Self::Nothing => position.sequence == 0,
        }
    }

    /// How the position was lost, in a log to which `head` records were ever appended and which
    /// holds this at the position.
    pub(super) fn loss(self, position: Position, head: u64) -> Option<Loss> {
        if head < position.sequence {
            return Some(Loss::WentBackwards);
        }
        match (position.mark, self) {
            (None, Self::Nothing | Self::Entry(_)) => None,
            (Some(_), Self::Nothing) => Some(Loss::Trimmed),
            (Some(_), Self::Entry(_)) => (!self.confirms(position)).then_some(Loss::WentBackwards),
        }
    }
}

/// The entries in an answer to `XREAD` of one stream; empty if there were none in time.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the Redis crate's")]
pub(super) fn entries_read(answer: Value) -> Result<Vec<StreamEntry>, StoreError> {
    let streams = match answer {
        Value::Nil => return Ok(Vec::new()),
        other => array(other)?,
    };
    match streams.into_iter().next().map(array).transpose()? {
        None => Ok(Vec::new()),
        Some(stream) => match <[Value; 2]>::try_from(stream) {
            Ok([_, entries]) => entries_in(entries),
            Err(_) => Err(fault::nonsense("a stream")),
        },
    }
}

/// The entries in an answer to `XRANGE`.
pub(super) fn entries_in(answer: Value) -> Result<Vec<StreamEntry>, StoreError> {
    array(answer)?.into_iter().map(entry).collect()
}

fn entry(value: Value) -> Result<StreamEntry, StoreError> {
    let Ok([Value::BulkString(id), fields]) = <[Value; 2]>::try_from(array(value)?) else {
        return Err(fault::nonsense("an entry of a stream"));
    };
    let mut fields = array(fields)?.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        if let (Value::BulkString(name), Value::BulkString(record)) = (name, value)
            && name == b"record"
        {
            return Ok(StreamEntry { sequence: sequence(&id), record });
        }
    }
    Err(fault::nonsense("an entry of the log without a record"))
}

/// The sequence number in the id of an entry, `<sequence>-0`.
fn sequence(id: &[u8]) -> Option<u64> {
    std::str::from_utf8(id).ok()?.strip_suffix("-0")?.parse().ok()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the Redis crate's")]
fn array(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(fault::nonsense("something that is not a list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_is_lost_as_the_log_tells() {
        let at = |sequence, mark| Position { sequence, mark };
        let (went, trimmed) = (Some(Loss::WentBackwards), Some(Loss::Trimmed));
        for (position, head, held, loss) in [
            (at(0, None), 0, HeldRecord::Nothing, None),
            (at(0, None), 9, HeldRecord::Nothing, None),
            (at(5, Some(7)), 5, HeldRecord::Entry(Some(7)), None),
            (at(5, Some(7)), 9, HeldRecord::Entry(Some(7)), None),
            (at(5, Some(7)), 4, HeldRecord::Nothing, went),
            (at(5, Some(7)), 9, HeldRecord::Entry(Some(8)), went),
            (at(5, Some(7)), 9, HeldRecord::Entry(None), went),
            (at(5, Some(7)), 9, HeldRecord::Nothing, trimmed),
            (at(5, Some(7)), 5, HeldRecord::Nothing, trimmed),
            (at(5, None), 4, HeldRecord::Nothing, went),
            (at(5, None), 5, HeldRecord::Nothing, None),
            (at(5, None), 5, HeldRecord::Entry(Some(7)), None),
        ] {
            assert_eq!(held.loss(position, head), loss, "{position:?} {head} {held:?}");
        }
    }

    #[test]
    fn list_is_one_and_absence_is_none() {
        let read = |value: Value| {
            let read = ReplyList::<(String, f64)>::from_redis_value_ref(&value);
            read.ok().map(|ReplyList(items)| items)
        };
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let item = |of: Vec<Value>| Value::Array(vec![Value::Array(of)]);
        assert_eq!(read(Value::Array(vec![])), Some(vec![]));
        assert_eq!(read(item(vec![text("a"), text("1")])), Some(vec![("a".to_owned(), 1.0)]));
        for odd in [Value::Nil, Value::Okay, Value::Int(0), text(""), text("a")] {
            assert_eq!(read(odd.clone()), None, "{odd:?}");
            assert_eq!(read(Value::Array(vec![odd.clone()])), None, "{odd:?}");
            assert_eq!(read(item(vec![odd.clone()])), None, "{odd:?}");
        }
    }

    #[test]
    fn pairs_are_whole() {
        let read = |items: &[Value]| Pairs::from_redis_value(Value::Array(items.to_vec())).ok();
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let pair = (b"a".to_vec(), Some(b"b".to_vec()));
        assert_eq!(read(&[]), Some(Pairs(vec![])));
        assert_eq!(
            read(&[text("a"), text("b"), text("c"), Value::Nil]),
            Some(Pairs(vec![pair, (b"c".to_vec(), None)]))
        );
        for odd in [
            vec![text("a")],
            vec![Value::Nil, text("b")],
            vec![text("a"), Value::Int(0)],
            vec![text("a"), text("b"), Value::Nil, Value::Nil],
        ] {
            assert_eq!(read(&odd), None, "{odd:?}");
        }
        assert_eq!(Pairs::from_redis_value(Value::Nil).ok(), None);
    }

    #[test]
    fn flag_is_one_or_zero() {
        let read = |value: Value| Flag::from_redis_value(value).ok();
        assert_eq!([0, 1].map(|bit| read(Value::Int(bit))), [Some(Flag(false)), Some(Flag(true))]);
        for odd in [Value::Nil, Value::Okay, Value::Int(2), Value::Array(vec![])] {
            assert_eq!(read(odd.clone()), None, "{odd:?}");
        }
    }

    #[test]
    fn answer_about_something_else_is_none() {
        assert_eq!(about("a", ("a".to_owned(), 1)).ok(), Some(1));
        assert_eq!(about("a", ("b".to_owned(), 1)).ok(), None);
    }

    #[test]
    fn foreign_ids_are_not_sequence_numbers() {
        assert_eq!(sequence(b"17-0"), Some(17));
        for id in ["17-1", "17", "-0", "x-0", "1700000000000-12"] {
            assert_eq!(sequence(id.as_bytes()), None, "{id}");
        }
    }
}
