"""The upstream all proxies share: one nginx worker that answers 12 bytes."""

import re
import urllib.request

from children import LOCALHOST, free_port, wait_listening
from templates import filled


class Upstream:
    """A running upstream; counts what reaches it."""

    def __init__(self, bench):
        self.port = free_port()
        config = bench.directory / "upstream.conf"
        config.write_text(filled("upstream.nginx.conf", DIR=bench.directory, PORT=self.port))
        words = [bench.tools["nginx"], "-e", "stderr", "-p", bench.directory, "-c", config]
        self.child = bench.children.start("upstream", words, core=bench.load_core)
        wait_listening(self.child, self.port)

    def requests(self):
        """Requests answered since the start; asking is one of them."""
        url = f"http://{LOCALHOST}:{self.port}/bench-requests"
        with urllib.request.urlopen(url, timeout=5) as response:
            text = response.read().decode()
        # nginx stub_status: "server accepts handled requests" and three numbers below it.
        return int(re.search(r"^ \d+ \d+ (\d+)", text, re.MULTILINE)[1])
