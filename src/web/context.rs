//! Contexts: a request to one of the gateway's own endpoints, with what a handler needs to answer
//! it.

use super::message::EndpointRequest;
use crate::runtime::Running;

/// A request to an endpoint. `Service` is what the handlers of its room read and write. `Section`
/// is the section of the configuration without which the endpoint does not exist.
pub(crate) struct EndpointContext<'a, Service, Section> {
    /// The service, shared by all configurations of the process.
    pub(crate) service: &'a Service,
    /// The configuration that was in force when the request arrived.
    pub(crate) configuration: &'a Running,
    /// Its section for these endpoints.
    pub(crate) settings: &'a Section,
    /// The request.
    pub(crate) request: &'a EndpointRequest<'a>,
}

// Written by hand: the referenced types need not be `Copy`.
impl<Service, Section> Clone for EndpointContext<'_, Service, Section> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Service, Section> Copy for EndpointContext<'_, Service, Section> {}
