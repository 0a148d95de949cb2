//! The names by which a request is found again: `X-Request-Id` and `traceparent`.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header of the request id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header of the trace context (W3C Trace Context §3.2).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest id that is passed on, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// A request's id: the client's, if it is harmless, or one of ours.
#[derive(Clone, Debug)]
pub(super) struct RequestId {
    value: HeaderValue,
    /// Who made it.
    pub(super) origin: TraceOrigin,
}

/// Where an id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TraceOrigin {
    Client,
    Gateway,
}

impl RequestId {
    /// A new id.
    pub(super) fn make() -> Self {
        let mut text = [0; 32];
        hexadecimal(fastrand::u128(..), &mut text);
        Self { value: value_of(&text), origin: TraceOrigin::Gateway }
    }

    /// The id that a request carries, or a new one.
    pub(super) fn find(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(REQUEST_ID).iter();
        match (values.next(), values.next()) {
            (Some(value), None) if is_harmless(value) => {
                Self { value: value.clone(), origin: TraceOrigin::Client }
            }
            _ => Self::make(),
        }
    }

    pub(super) fn value(&self) -> &HeaderValue {
        &self.value
    }

    pub(super) fn as_str(&self) -> &str {
        // Harmless values and our own are visible ASCII.
        self.value.to_str().unwrap_or_default()
    }
}

fn is_harmless(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.~:/+=@".contains(b))
}

/// Whether a request carries exactly one valid trace context.
pub(super) fn is_traced(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(TRACEPARENT).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => is_traceparent(value.as_bytes()),
        _ => false,
    }
}

/// A new trace context, not sampled: the gateway does not export spans.
pub(super) fn make_traceparent() -> HeaderValue {
    let mut text = *b"00-________________________________-________________-00";
    hexadecimal(fastrand::u128(1..), &mut text[3..35]);
    hexadecimal(fastrand::u64(1..).into(), &mut text[36..52]);
    value_of(&text)
}

/// W3C Trace Context §3.2.2: `version-traceid-parentid-flags`, lower case; all-zero ids are none.
fn is_traceparent(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut parts = text.splitn(5, '-');
    let mut part = |length| {
        parts.next().filter(|part| {
            part.len() == length
                && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
    };
    let (Some(version), Some(trace), Some(parent), Some(_flags)) =
        (part(2), part(32), part(16), part(2))
    else {
        return false;
    };
    let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
    let ends = parts.next().is_none() || version != "00";
    version != "ff" && !is_zero(trace) && !is_zero(parent) && ends
}

/// The last digits of `number`, as many as there is room for.
fn hexadecimal(number: u128, digits: &mut [u8]) {
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
}

fn value_of(text: &[u8]) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(text))
        .unwrap_or_else(|_| HeaderValue::from_static("invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_clients_are_kept_if_harmless() {
        let find = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(text).expect("a value"));
            RequestId::find(&headers).origin
        };
        assert_eq!(find("a-1_b.c~d:e/f+g=@"), TraceOrigin::Client);
        assert_eq!(find(&"a".repeat(REQUEST_ID_BYTES_MAX)), TraceOrigin::Client);
        for text in ["", "a b", "a\"b", "a,b", "<a>", "{a}", &"a".repeat(REQUEST_ID_BYTES_MAX + 1)]
        {
            assert_eq!(find(text), TraceOrigin::Gateway, "{text}");
        }
        assert_eq!(RequestId::make().as_str().len(), 32);
    }

    #[test]
    fn trace_contexts_are_kept_if_valid() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_traceparent(good.as_bytes()));
        assert!(is_traceparent(make_traceparent().as_bytes()));
        for bad in [
            "",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        ] {
            assert!(!is_traceparent(bad.as_bytes()), "{bad}");
        }
    }
}
