//! Contexts: a request to one of the gateway's own endpoints, with what is needed to answer it.

use super::message::EndpointRequest;
use crate::runtime::Running;

/// A request to an endpoint. `Service` is what its room reads and writes; `Section` is that of the
/// configuration without which there is no such endpoint.
pub(crate) struct EndpointContext<'a, Service, Section> {
    /// What is shared by all configurations of the process.
    pub(crate) service: &'a Service,
    /// The configuration in force when the request came.
    pub(crate) configuration: &'a Running,
    /// Its section for these endpoints.
    pub(crate) settings: &'a Section,
    /// What is asked.
    pub(crate) request: &'a EndpointRequest<'a>,
}

// By hand: what is referred to need not be `Copy`.
impl<Service, Section> Clone for EndpointContext<'_, Service, Section> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Service, Section> Copy for EndpointContext<'_, Service, Section> {}
