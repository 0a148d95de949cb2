"""That a gateway holds the revocations it is measured with."""

import time

from gateways import metrics
from proof import NotProven, prove_refuses


def prove_loaded(bench, running, path, subject, entries):
    """The gateway holds at least `entries`, and refuses the subject they cut off."""
    held = metrics(running.admin)["portcullis_revocation_entries"]
    # The gauge is behind by what the list has not counted yet.
    if held < 0.99 * entries - 1000:
        raise NotProven(f"the gateway holds {held:.0f} revocations, not {entries}")
    token = bench.issuers["rsa"].token(sub=subject, iat=int(time.time()) - 600)
    prove_refuses(running.port, path, "a revoked subject", token)
