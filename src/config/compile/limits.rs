//! `limits` → how much clients may send and hold, and how slowly.

use std::time::Duration;

use super::compiler::Compiler;
use super::presence::Presence;
use crate::config::problem::FieldPath;
use crate::config::{Limits, PaceRules, raw, values};
use crate::gate::framing::HeadLimits;
use crate::gate::token;

const HEAD_BYTES_DEFAULT: u64 = 32 << 10;
/// Pingora reads no head longer than 1 MiB, including what arrived with it.
const HEAD_BYTES_MAX: u64 = 256 << 10;
const FIELDS_DEFAULT: usize = 100;
/// Pingora reads no more fields than this.
const FIELDS_MAX: usize = 256;
const TOKEN_BYTES_DEFAULT: u64 = token::TOKEN_BYTES_DEFAULT as u64;
const HEADER_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// The default of nginx (`keepalive_timeout`).
const KEEPALIVE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(75);
/// What a server usually accepts in one header by default.
const IDENTITY_BYTES_DEFAULT: u64 = 8 << 10;
const IDENTITY_BYTES_MIN: usize = 256;
const IDENTITY_BYTES_MAX: u64 = 64 << 10;
/// The default of nginx (`client_body_timeout`).
const BODY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// The default of Apache (`RequestReadTimeout`, `MinRate`).
const BODY_RATE_DEFAULT: u64 = 500;
const BODY_DEADLINE_DEFAULT: Duration = Duration::from_secs(12 * 60 * 60);
/// The default of nginx (`send_timeout`).
const SEND_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
const SEND_RATE_DEFAULT: u64 = 500;
const IN_FLIGHT_OWN_DEFAULT: usize = 256;
/// A browser needs fewer for a page and its resources.
const HTTP2_STREAMS_DEFAULT: usize = 32;
const HTTP2_STREAMS_MAX: usize = 1000;
/// More than any machine can hold.
const COUNT_MAX: usize = usize::MAX >> 4;

impl Compiler<'_> {
    pub(super) fn limits(&mut self, raw: raw::Limits) -> Option<Limits> {
        let field = FieldPath::default().key("limits");
        let raw::Limits {
            header_bytes,
            header_count,
            header_timeout,
            keepalive_timeout,
            body_timeout,
            body_rate,
            body_deadline,
            send_timeout,
            send_rate,
            token_bytes,
            identity_bytes,
            connections,
            connections_per_address,
            in_flight,
            in_flight_per_client,
            in_flight_own,
            http2_streams,
        } = raw;
        let head = self.head_limits(header_bytes, header_count, &field);
        let mut timeout = |text, key, default| self.duration(text, &field.key(key), default);
        let header_timeout = timeout(header_timeout, "header_timeout", HEADER_TIMEOUT_DEFAULT);
        let keepalive_timeout =
            timeout(keepalive_timeout, "keepalive_timeout", KEEPALIVE_TIMEOUT_DEFAULT);
        let body_pace = self.body_pace(body_timeout, body_rate, body_deadline, &field);
        let send_pace = self.send_pace(send_timeout, send_rate, &field);
        let token_field = field.key("token_bytes");
        let token_bytes_max =
            self.bounded_size(token_bytes, &token_field, TOKEN_BYTES_DEFAULT, HEAD_BYTES_MAX);
        let identity_bytes_max = self.identity_bytes(identity_bytes, &field.key("identity_bytes"));
        let mut count = |value, key| self.count(value, &field.key(key));
        let connections_max = count(connections, "connections");
        let connections_per_address_max = count(connections_per_address, "connections_per_address");
        let in_flight_max = count(in_flight, "in_flight");
        let in_flight_per_client_max = count(in_flight_per_client, "in_flight_per_client");
        let own_field = field.key("in_flight_own");
        let in_flight_own_max =
            self.bounded(in_flight_own, &own_field, IN_FLIGHT_OWN_DEFAULT, COUNT_MAX);
        let http2_streams_max = self.http2_streams(http2_streams, &field.key("http2_streams"));
        Some(Limits {
            head: head?,
            header_timeout: header_timeout?,
            keepalive_timeout: keepalive_timeout?,
            body_pace: body_pace?,
            send_pace: send_pace?,
            token_bytes_max: token_bytes_max?,
            identity_bytes_max: identity_bytes_max?,
            connections_max: connections_max.whole().ok()?,
            connections_per_address_max: connections_per_address_max.whole().ok()?,
            in_flight_max: in_flight_max.whole().ok()?,
            in_flight_per_client_max: in_flight_per_client_max.whole().ok()?,
            in_flight_own_max: in_flight_own_max?,
            http2_streams_max: http2_streams_max?,
        })
    }

    fn head_limits(
        &mut self,
        bytes: Option<String>,
        count: Option<usize>,
        limits: &FieldPath,
    ) -> Option<HeadLimits> {
        let (bytes_field, count_field) = (limits.key("header_bytes"), limits.key("header_count"));
        let bytes_max = self.bounded_size(bytes, &bytes_field, HEAD_BYTES_DEFAULT, HEAD_BYTES_MAX);
        let fields_max = self.bounded(count, &count_field, FIELDS_DEFAULT, FIELDS_MAX);
        Some(HeadLimits { bytes_max: bytes_max?, fields_max: fields_max? })
    }

    /// How fast a client has to send the body of a request.
    fn body_pace(
        &mut self,
        timeout: Option<String>,
        rate: Option<String>,
        deadline: Option<String>,
        limits: &FieldPath,
    ) -> Option<PaceRules> {
        let timeout = self.duration(timeout, &limits.key("body_timeout"), BODY_TIMEOUT_DEFAULT);
        let rate = self.rate(rate, &limits.key("body_rate"), BODY_RATE_DEFAULT);
        let deadline = self.duration(deadline, &limits.key("body_deadline"), BODY_DEADLINE_DEFAULT);
        Some(PaceRules { timeout: timeout?, rate: rate?, deadline: Some(deadline?) })
    }

    /// How fast a client has to read what it is sent.
    fn send_pace(
        &mut self,
        timeout: Option<String>,
        rate: Option<String>,
        limits: &FieldPath,
    ) -> Option<PaceRules> {
        let timeout = self.duration(timeout, &limits.key("send_timeout"), SEND_TIMEOUT_DEFAULT);
        let rate = self.rate(rate, &limits.key("send_rate"), SEND_RATE_DEFAULT);
        Some(PaceRules { timeout: timeout?, rate: rate?, deadline: None })
    }

    fn identity_bytes(&mut self, text: Option<String>, field: &FieldPath) -> Option<usize> {
        let bytes = self.bounded_size(text, field, IDENTITY_BYTES_DEFAULT, IDENTITY_BYTES_MAX)?;
        if bytes < IDENTITY_BYTES_MIN {
            return self.error(field, "no identity would fit", "Write 256B or more");
        }
        Some(bytes)
    }

    fn http2_streams(&mut self, value: Option<usize>, field: &FieldPath) -> Option<u32> {
        let streams = self.bounded(value, field, HTTP2_STREAMS_DEFAULT, HTTP2_STREAMS_MAX)?;
        u32::try_from(streams).ok()
    }

    /// A rate in bytes per second.
    fn rate(&mut self, text: Option<String>, field: &FieldPath, default: u64) -> Option<u64> {
        let Some(text) = text else { return Some(default) };
        match values::rate(&text) {
            Some(rate) => Some(rate),
            None => self.error(
                field,
                &format!("`{text}` is not a rate"),
                "Write a size for each second, such as 500B/s or 8KiB/s, or 0B/s for none",
            ),
        }
    }

    /// A count that has no limit, or another default, if it is absent.
    pub(super) fn count(&mut self, value: Option<usize>, field: &FieldPath) -> Presence<usize> {
        match value {
            None => Presence::Absent,
            some => Presence::of(self.bounded(some, field, 1, COUNT_MAX)),
        }
    }

    fn bounded(
        &mut self,
        value: Option<usize>,
        field: &FieldPath,
        default: usize,
        max: usize,
    ) -> Option<usize> {
        let value = value.unwrap_or(default);
        if (1..=max).contains(&value) {
            return Some(value);
        }
        let remedy = format!("Write a number from 1 to {max}");
        self.error(field, &format!("{value} is out of range"), &remedy)
    }

    fn bounded_size(
        &mut self,
        text: Option<String>,
        field: &FieldPath,
        default: u64,
        max: u64,
    ) -> Option<usize> {
        let size = self.size(text, field, default)?;
        if size > max {
            let remedy = format!("Write at most {}KiB", max >> 10);
            return self.error(field, "the size is out of range", &remedy);
        }
        usize::try_from(size).ok()
    }
}
