//! Which of the fields that matter on the way to an upstream a request came with.

/// Which fields a request came with: what is not there need not be looked up again, which would cost
/// more than to look at all names once.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::edge) struct ReceivedFields {
    pub(super) authorization: bool,
    pub(super) cookie: bool,
    pub(in crate::edge) expect: bool,
    pub(super) forwarded: bool,
    pub(super) forwarded_for: bool,
    pub(super) forwarded_host: bool,
    pub(super) forwarded_proto: bool,
    pub(in crate::edge) host: bool,
    pub(super) length: bool,
    pub(super) request_id: bool,
    pub(super) trace: bool,
}

impl ReceivedFields {
    pub(super) fn note(&mut self, name: &str) {
        let noted = match name {
            "authorization" => &mut self.authorization,
            "content-length" => &mut self.length,
            "cookie" => &mut self.cookie,
            "expect" => &mut self.expect,
            "forwarded" => &mut self.forwarded,
            "host" => &mut self.host,
            "traceparent" | "tracestate" => &mut self.trace,
            "x-forwarded-for" => &mut self.forwarded_for,
            "x-forwarded-host" => &mut self.forwarded_host,
            "x-forwarded-proto" => &mut self.forwarded_proto,
            "x-request-id" => &mut self.request_id,
            _ => return,
        };
        *noted = true;
    }
}
