"""A small httpbin of our own on the loopback: HTTP/2, HTTP/1.1, TLS and cleartext.

It exists so that the tests, the examples and the documentation of hyper have a
real server to talk to that needs no network and is the same on every machine:

    with http2bin.serve() as server:
        print(server.url, server.ca_file)

or ``python -m hyper.http2bin`` in a second terminal.

It stands apart: it imports nothing of hyper, so that a mistake made in hyper
cannot hide behind the same mistake made here. HTTP/2 is spoken by the state
machine of the h2 package; TLS certificates come from trustme (only when TLS is
asked for). It trusts its clients as far as a service on the loopback may: it has
limits on what it buffers, and no defence against floods.

The modules, from the bottom to the top:

- ``message``: the words a route and a protocol share: Request, Reply, Channel.
- ``routes``: what each path answers; ``document``: the JSON that most of them send.
- ``wire``: one socket, with or without TLS, that threads can share.
- ``http1``, ``http2``: the two protocols; each runs one connection.
- ``server``: listens, makes connections, stops them all.

Threads
-------
One thread accepts. One thread per connection reads: it owns the protocol's state
machine in the sense that only it feeds it input. In HTTP/1.1 the same thread
also runs the route. In HTTP/2 each stream's route runs in a worker of a pool
shared by the whole server, so a route that blocks (/delay, /drip, a closed
flow-control window) holds up nobody but its own stream.

Locks
-----
One lock per connection, ``Wire.lock``, guards the socket, the TLS object, the
h2 state machine and every stream of that connection. Nobody blocks while holding
it: the socket is non-blocking, waiting for it is a poll without the lock, and
waiting for a stream to change is a Condition made of this lock. The server has
one more lock for its counters and its list of connections; it is never held
together with a connection's lock.
"""

import logging

from hyper.http2bin.server import Server, serve

__all__ = ["Server", "serve"]

# A library leaves it to the program where its log goes.
logging.getLogger(__name__).addHandler(logging.NullHandler())
