"""Fetch a page over HTTP/2 from a server of our own: ``python docs/demo.py``.

Nothing leaves this machine. The server is ``hyper.http2bin``, a small httpbin that
comes with hyper for trying things out and for tests.
"""

from hyper import HTTP20Connection, http2bin
from hyper.tls import init_context

# A server on a free port, with a certificate that is made on the spot.
with http2bin.serve() as server:
    # No one else knows the authority that signed it, so trust has to be given.
    context = init_context(server.ca_file)
    with HTTP20Connection(server.url, ssl_context=context) as conn:
        conn.request("GET", "/get")
        resp = conn.getresponse()
        print(resp.read().decode())
        print(resp.version.value, resp.status, resp.reason, "from", f"{server.url}/get")
