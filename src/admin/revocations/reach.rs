//! Decides what a revocation could hit. A revocation that certainly hits nothing is refused,
//! because an operator who reads "revoked" looks no further. One that only probably hits nothing,
//! such as one for an unknown subject, is written.

use crate::gate::issuer::{Issuer, IssuerRules};
use crate::gate::reason::listed;
use crate::gate::revocation::Scope;
use crate::runtime::Running;

/// Why `scope` hits nothing that this gateway accepts, or could come to accept with this
/// configuration; `None` if it could hit something.
pub(super) fn nothing_to_hit(scope: &Scope, configuration: &Running) -> Option<String> {
    let mut issuers = configuration.issuers().map(|issuer| issuer.rules());
    let why = match scope {
        Scope::Token { issuer, .. } => {
            let is_accepted = issuers.any(|rules| rules.issuer == *issuer);
            (!is_accepted).then(|| format!("`{issuer}` issues no tokens that are accepted here"))
        }
        Scope::Client(_) => {
            let names_clients = |rules: &IssuerRules| !rules.client_claims.is_empty();
            (!issuers.any(names_clients)).then(|| {
                "no issuer has claims that name a client (issuers[].claims.client)".to_owned()
            })
        }
        // A repeated revocation, made because not all gateways confirmed it, names a key that is
        // gone by now.
        Scope::Key { .. } if configuration.gate.revocations.names(scope) => None,
        Scope::Key { issuer, id } => no_key(issuer.as_deref(), id, configuration),
        // These hit sessions as well. The gateway need not know who is logged in, or ever was.
        Scope::Session(_)
        | Scope::Subject { .. }
        | Scope::Grants { .. }
        | Scope::Issuer(_)
        | Scope::Everything => None,
    };
    why.map(|why| format!("{why}, so nothing would be revoked"))
}

/// Why no key set of these issuers has the key `id`, now or after it is fetched again.
fn no_key(issuer: Option<&str>, id: &str, configuration: &Running) -> Option<String> {
    let is_meant =
        |candidate: &&&Issuer| issuer.is_none_or(|issuer| *candidate.rules().issuer == *issuer);
    let issuers = configuration.issuers().map(|issuer| &**issuer);
    let issuers: Vec<_> = issuers.filter(|issuer| is_meant(&issuer)).collect();
    // The gateway's own keys come from a feed as well, but their ids are random: none is known
    // ahead.
    let own = configuration.own_issuer().map(|own| &**own);
    let is_own = |issuer: &Issuer| own.is_some_and(|own| std::ptr::eq(own, issuer));
    let could_fetch = issuers.iter().any(|issuer| {
        let is_known = is_own(issuer) && issuer.keys().current().is_some();
        !issuer.keys().is_fixed() && !is_known
    });
    let sets: Vec<_> = issuers.iter().filter_map(|issuer| issuer.keys().current()).collect();
    let mut known: Vec<_> = sets.iter().flat_map(|set| set.ids()).collect();
    if could_fetch || known.contains(&id) {
        return None;
    }
    known.sort_unstable();
    known.dedup();
    let known = listed(known);
    Some(format!("no issuer has, or could fetch, a key with the id `{id}` (known: {known})"))
}
