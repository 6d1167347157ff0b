"""The ``hyper`` command: makes one request and prints the body of the response.

What it prints obeys one rule: standard output has the body and nothing else, standard
error has all the rest. A failure is one line there, without a traceback, and a status
that scripts can tell apart: the numbers are curl's, which they know already.

It does nothing that the library does not do. It reads the words (:mod:`.items`), makes
the request, and shows the body (:mod:`.output`). Trust and the log of keys come from
the environment, as for every connection: ``SSL_CERT_FILE``, ``SSL_CERT_DIR``,
``SSLKEYLOGFILE``.
"""

from __future__ import annotations

import argparse
import logging
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..common.exceptions import (
    ConnectError,
    ConnectionTerminated,
    DecodingError,
    HyperError,
    IncompleteRead,
    InvalidResponseError,
    LocalProtocolError,
    ProxyError,
    RemoteProtocolError,
    StreamResetError,
    Timeout,
    TLSError,
)
from ..common.protocol import HTTPVersion
from ..connection import HTTPConnection
from ..http20.machine import ClientMachine
from ..http20.protocol import MachineClass
from ..version import __version__
from .items import Order, UsageError, parse_words
from .output import CannotWrite, show_body

log = logging.getLogger("hyper.cli")

USAGE = (
    "hyper [-h] [--version] [--debug] [METHOD] URL [REQUEST_ITEM [REQUEST_ITEM ...]]"
)
ARGUMENTS = """\
arguments:
  METHOD        the method; without it GET, or POST if there are fields
  URL           where to; https:// if it names no scheme, :8443/path is
                this machine
  REQUEST_ITEM  what to send besides:
                  Name:value   a header
                  name==value  a parameter of the query
                  name=value   a field of the JSON object in the body
                The first of these separators counts; a backslash before a
                character keeps it from being one. Write -- before the
                arguments if one of them begins with a dash.
"""

# The exit statuses of curl, as far as they can occur.
USAGE_ERROR = 2
PROXY = 5
CANNOT_RESOLVE = 6
CANNOT_CONNECT = 7
HTTP2_CONNECTION = 16
INCOMPLETE = 18
CANNOT_WRITE = 23
TIMED_OUT = 28
TLS_FAILED = 35
CANNOT_RECEIVE = 56
CERTIFICATE = 60
BAD_CONTENT_CODING = 61
BAD_CA_FILE = 77
HTTP2_STREAM = 92
INTERRUPTED = 130

#: The first class that an error is an instance of decides.
_STATUSES: tuple[tuple[type[HyperError], int], ...] = (
    (LocalProtocolError, USAGE_ERROR),
    (ProxyError, PROXY),
    (ConnectError, CANNOT_CONNECT),
    (TLSError, TLS_FAILED),
    (Timeout, TIMED_OUT),
    (IncompleteRead, INCOMPLETE),
    (DecodingError, BAD_CONTENT_CODING),
    (StreamResetError, HTTP2_STREAM),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line says.

    :param argv: its words without the program's name. None: those of this process.
    :returns: the exit status.
    :raises SystemExit: after ``-h``, ``--version`` and for unknown options.
    """
    debug, words = _parse(sys.argv[1:] if argv is None else argv)
    with _logging_to_stderr(debug):
        try:
            return _perform(parse_words(words))
        except UsageError as error:
            return _fail(error, USAGE_ERROR)
        except CannotWrite as error:
            if error.broken_pipe:
                return CANNOT_WRITE
            return _fail(error, CANNOT_WRITE)
        except KeyboardInterrupt:
            return INTERRUPTED


def exit_status(error: HyperError, version: HTTPVersion) -> int:
    """Return the exit status for an error, given what was spoken when it happened."""
    if isinstance(error, ConnectError) and str(error).startswith("cannot resolve"):
        return CANNOT_RESOLVE
    if isinstance(error, TLSError) and _has_cause(error, ssl.SSLCertVerificationError):
        return CERTIFICATE
    if isinstance(error, ConnectionTerminated):
        return HTTP2_CONNECTION if error.error_code else CANNOT_RECEIVE
    if isinstance(error, RemoteProtocolError) and version is HTTPVersion.http20:
        malformed = isinstance(error, InvalidResponseError)
        return HTTP2_STREAM if malformed else HTTP2_CONNECTION
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return CANNOT_RECEIVE


def _parse(argv: Sequence[str]) -> tuple[bool, list[str]]:
    """Return whether to debug, and the words that are not options."""
    parser = argparse.ArgumentParser(
        prog="hyper",
        usage=USAGE,
        description="Make an HTTP request and print the body of the response.",
        epilog=ARGUMENTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hyper {__version__}")
    parser.add_argument(
        "--debug", action="store_true", help="tell on stderr what is done"
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    # Split here: argparse's own "--" loses its meaning among options that are mixed
    # with words, and differs between the versions of Python.
    words = list(argv)
    end = words.index("--") if "--" in words else len(words)
    options = parser.parse_intermixed_args(words[:end])
    return options.debug, options.words + words[end + 1 :]


def _perform(order: Order) -> int:
    """Make the request and show the body; return the exit status."""
    try:
        connection = HTTPConnection(order.server, state_machine=_machine())
    except LocalProtocolError as error:
        return _fail(error, USAGE_ERROR)
    except OSError as error:
        reason = error.strerror or error
        return _fail(f"cannot load the authorities to trust: {reason}", BAD_CA_FILE)
    with connection:
        try:
            _exchange(connection, order)
        except HyperError as error:
            return _fail(error, exit_status(error, connection.version))
    return 0


def _machine() -> MachineClass:
    """Return the class of the HTTP/2 state machine.

    Our own logs nothing, so as to be fast. Who debugs gets the one that stands on the
    hpack package, which does.
    """
    if not log.isEnabledFor(logging.DEBUG):
        return ClientMachine
    from ..http20.reference import H2Machine

    return H2Machine


def _exchange(connection: HTTPConnection, order: Order) -> None:
    log.debug("%s %s of %s", order.method, order.target, order.server)
    stream_id = connection.request(
        order.method, order.target, order.body, order.headers
    )
    with connection.get_response(stream_id) as response:
        log.debug("%s %s %s", response.version.value, response.status, response.reason)
        show_body(response, sys.stdout)


def _fail(error: Exception | str, status: int) -> int:
    """Say in one line what went wrong."""
    log.debug("exit status %d", status, exc_info=True)
    print("hyper:", " ".join(str(error).split()), file=sys.stderr)
    return status


def _has_cause(error: BaseException, kind: type[Exception]) -> bool:
    cause = error.__cause__
    return cause is not None and (isinstance(cause, kind) or _has_cause(cause, kind))


@contextmanager
def _logging_to_stderr(debug: bool) -> Iterator[None]:
    """Show what the library and its HPACK coder log, if it is wanted."""
    if not debug:
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("hyper", "hpack")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
