"""A gRPC server of Google's grpcio, whose messages are plain bytes.

Run as: python grpc_app.py settings.json
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent import futures
from pathlib import Path

import grpc

#: Set when a call of Forever has ended because the client gave it up.
given_up = threading.Event()


def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
    return request


def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata([("x-reason", "because")])
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())


def headers(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Return what the call came with, and the seconds that it may take."""
    told = dict(context.invocation_metadata())
    return json.dumps([told, context.time_remaining()]).encode()


def sleep(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Take longer than anybody waits; end with the call."""
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait()
    return b""


def talk(requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    yield from requests


def count(requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Answer the number N, in digits, with N messages."""
    for request in requests:
        for number in range(int(request)):
            yield b"%d" % number


def refuse(requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Answer the first message and want no more of them."""
    yield next(iter(requests))
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "one is enough")


def forever(
    requests: Iterable[bytes], context: grpc.ServicerContext
) -> Iterator[bytes]:
    context.add_callback(given_up.set)
    while context.is_active():
        yield b"more"


def was_given_up(request: bytes, context: grpc.ServicerContext) -> bytes:
    answer = b"yes" if given_up.wait(10) else b"no"
    given_up.clear()
    return answer


UNARY = {
    "Echo": echo,
    "Fail": fail,
    "Headers": headers,
    "Sleep": sleep,
    "WasGivenUp": was_given_up,
}
STREAMS = {"Talk": talk, "Count": count, "Refuse": refuse, "Forever": forever}


def main(settings: dict[str, str | int]) -> None:
    server = grpc.server(
        futures.ThreadPoolExecutor(32),
        options=[("grpc.max_receive_message_length", 16 * 1024 * 1024)],
    )
    handlers = {
        **{
            name: grpc.unary_unary_rpc_method_handler(method)
            for name, method in UNARY.items()
        },
        **{
            name: grpc.stream_stream_rpc_method_handler(method)
            for name, method in STREAMS.items()
        },
    }
    service = grpc.method_handlers_generic_handler("test.Service", handlers)
    server.add_generic_rpc_handlers((service,))
    key, chain = (Path(str(settings[name])).read_bytes() for name in ("key", "cert"))
    credentials = grpc.ssl_server_credentials([(key, chain)])
    server.add_secure_port(f"127.0.0.1:{settings['tls']}", credentials)
    server.add_insecure_port(f"127.0.0.1:{settings['h2c']}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
