//! Turns records of an account into the arguments of the scripts that write them.

use redis::ScriptInvocation;

use super::fault;
use super::keys::EXPIRY_MAX_S;
use super::keys::KeyNames;
use super::reply::ReplyList;
use crate::gate::time::UnixTime;
use crate::store::account::{Cut, ENTRIES_PER_SUBJECT_MAX, EndedScope, Room, Span};
use crate::store::digest::SubjectDigest;
use crate::store::login_end::LoginEnd;
use crate::store::record::{Read, Record};
use crate::store::session::EndedSessions;
use crate::store::{Charged, PRUNE_MARGIN_S, Position, StoreError};

/// A record of an account, and the cut-off that may be written instead of it or with it.
pub(super) struct AccountArguments {
    subject: SubjectDigest,
    /// The record's text, time and expiry, if it is about one login or one token.
    single: Option<(String, Span)>,
    /// The session that ends; empty if none does.
    session: String,
    kind: Cut,
    cut: Span,
    /// The text of the cut-off: before its time, between that and its expiry, and after the expiry.
    pieces: [String; 3],
}

/// The answer of a script that has charged: how many records were ever appended, or a negative
/// number if there was no room; and the records that were written.
pub(super) type ChargedReply = (i64, ReplyList<Vec<u8>>);

impl AccountArguments {
    /// The arguments for a record; `None` if it has no account.
    pub(super) fn of(record: &Record) -> Option<Self> {
        Self::marked(record, fastrand::u64(..))
    }

    /// The arguments for the end of a login that is not known yet: the script fills it in.
    pub(super) fn of_any(end: &LoginEnd) -> Option<Self> {
        Self::marked(&end.blank(), 0)
    }

    fn marked(record: &Record, mark: u64) -> Option<Self> {
        let (owner, ending) = EndedScope::of(record)?;
        let (kind, cut, single) = match ending {
            EndedScope::Single { span, until } => {
                let single = (record.encode(), span);
                (Cut::Grants, Span { expires: until, ..span }, Some(single))
            }
            EndedScope::Cut { kind, cut } => (kind, cut, None),
        };
        let session = match EndedSessions::of(&record.entry, None) {
            EndedSessions::One(id) => id.to_string(),
            // The sessions that a cut-off ends, end with the cut-off.
            EndedSessions::None | EndedSessions::Until(..) => String::new(),
        };
        let draft = ending.merged(record, kind, Span { dated: 0, expires: 0 });
        let pieces = blanks(&Record { mark, ..draft }.encode());
        let subject = SubjectDigest::of(&owner.issuer, &owner.subject);
        Some(Self { subject, single, session, kind, cut, pieces })
    }

    /// Adds the keys and arguments of `charge` to those of a script.
    pub(super) fn add_to(
        &self,
        script: &mut ScriptInvocation<'_>,
        keys: &KeyNames,
        entries_max: u64,
        now: UnixTime,
    ) {
        let Self { subject, single, session, kind, cut, pieces: [before, between, after] } = self;
        script.key(&keys.log).key(&keys.live).key(&keys.sessions).key(&keys.due);
        script.key(keys.sessions_of(subject)).key(keys.ends_of(subject)).key(keys.cuts_of(subject));
        let Room { more, first } = Room::of(entries_max);
        script.arg(super::score::score(now)).arg(PRUNE_MARGIN_S).arg(more).arg(first);
        script.arg(ENTRIES_PER_SUBJECT_MAX).arg(subject.to_string());
        script.arg(&keys.session).arg(&keys.family);
        script.arg(kind.as_str()).arg(before).arg(between).arg(after);
        script.arg(within(cut.dated)).arg(within(cut.expires));
        match single {
            Some((record, Span { dated, expires })) => {
                script.arg(record).arg(within(*dated)).arg(within(*expires));
            }
            None => {
                script.arg("").arg("").arg("");
            }
        }
        script.arg(session).arg(EXPIRY_MAX_S);
    }
}

/// The records that were written, and the end of the log; `None` if there was no room.
pub(super) fn charged(
    (sequence, ReplyList(texts)): ChargedReply,
) -> Result<Option<Charged>, StoreError> {
    let Ok(sequence) = u64::try_from(sequence) else { return Ok(None) };
    let mut written = Vec::with_capacity(texts.len());
    for text in texts {
        match Record::decode(&text)? {
            Read::Record(record) => written.push(record),
            Read::Other => return Err(fault::nonsense("what was written on an account")),
        }
    }
    let mark = written.last().map(|record| record.mark);
    Ok(Some(Charged { written, position: Position { sequence, mark } }))
}

/// A record split at its cut-off and expiry: the text before, between and after them. Both are 0 in
/// the record. The quotes keep a text in the record from matching: there they would be escaped.
fn blanks(record: &str) -> [String; 3] {
    const BLANKS: [&str; 3] = ["\"cut_off\":", ",\"expires\":", ","];
    let [cut_off, expires, end] = BLANKS;
    let (before, after) =
        record.split_once(&format!("{cut_off}0{expires}0{end}")).unwrap_or((record, ""));
    [format!("{before}{cut_off}"), expires.to_owned(), format!("{end}{after}")]
}

/// A time within the range of Redis.
fn within(seconds: i64) -> i64 {
    seconds.clamp(0, EXPIRY_MAX_S)
}
