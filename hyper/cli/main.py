"""The ``hyper`` command: makes a request and prints the body of the response.

What it prints obeys one rule: standard output has the body and nothing else, standard
error has all the rest. A failure is one line there, without a traceback, and a status
that scripts can tell apart: the numbers are curl's, which they know already.

It does nothing that the library does not do. It reads the options (:mod:`.options`) and
the words (:mod:`.items`, :mod:`.content`), makes connections (:mod:`.connect`) and
requests (:mod:`.transfer`), and shows bodies (:mod:`.output`, :mod:`.download`) and
what is on the wire (:mod:`.frames`, :mod:`.stat`). Trust and the log of keys come from
the environment, as for every connection: ``SSL_CERT_FILE``, ``SSL_CERT_DIR``,
``SSLKEYLOGFILE``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import urljoin

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
from ..common.target import parse_host
from ..trace import Record, Recorder, load, save
from ..trace.file import lines, writer
from .connect import BadTLSFile, Connector
from .content import CannotRead, content_of
from .download import CannotResume
from .frames import FrameView, HeadView, Sink
from .items import Order, UsageError, parse_url, parse_words
from .local import NoServer, serving
from .options import FRAME_KINDS, Options, parse
from .output import BodyView, CannotWrite
from .stat import Stat
from .terminal import Painter, Voice, one_line, plain, wants_colours
from .transfer import (
    Ask,
    BadRedirect,
    BadStatus,
    Shown,
    TooManyRedirects,
    Transfer,
    ask_of,
)

log = logging.getLogger("hyper.cli")

# The exit statuses of curl, as far as they can occur.
BAD_REDIRECT = 1
USAGE_ERROR = 2
PROXY = 5
CANNOT_RESOLVE = 6
CANNOT_CONNECT = 7
HTTP2_CONNECTION = 16
INCOMPLETE = 18
ERROR_STATUS = 22
CANNOT_WRITE = 23
CANNOT_READ = 26
TIMED_OUT = 28
BAD_RANGE = 33
TLS_FAILED = 35
REDIRECTS = 47
CANNOT_RECEIVE = 56
CLIENT_CERTIFICATE = 58
CERTIFICATE = 60
BAD_CONTENT_CODING = 61
BAD_CA_FILE = 77
WRONG_PIN = 90
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

#: What may help, by exit status.
_HINTS = {
    CERTIFICATE: "Use --cacert FILE to trust its authority, or -k to skip the check.",
    CANNOT_RESOLVE: "Is the name right? --resolve HOST:PORT:ADDRESS gives it one.",
    BAD_CONTENT_CODING: "--raw shows the body as it was sent.",
    REDIRECTS: "--max-redirs N allows more.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line says.

    :param argv: its words without the program's name. None: those of this process.
    :returns: the exit status.
    :raises SystemExit: after ``-h``, ``--version`` and for unknown options.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _open_what_is_closed()
    voice = Voice(sys.stderr)
    with contextlib.redirect_stderr(voice), _logging_to_stderr("--debug" in words):
        try:
            return _run(parse(words))
        except (UsageError, LocalProtocolError) as error:
            return _fail(error, USAGE_ERROR)
        except CannotRead as error:
            return _fail(error, CANNOT_READ)
        except CannotWrite as error:
            if error.broken_pipe:
                return CANNOT_WRITE
            return _fail(error, CANNOT_WRITE)
        except KeyboardInterrupt:
            return CANNOT_WRITE if voice.unheard else INTERRUPTED


def _open_what_is_closed() -> None:
    """Have something in the place of standard streams that this process was not given.

    Their numbers are taken in any case, as a connection must not have them. To write
    to one fails as it would.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        os.open(os.devnull, os.O_WRONLY)


def exit_status(error: Exception, version: HTTPVersion, proxied: bool = False) -> int:
    """Return the exit status for an error, given what was spoken when it happened.

    :param proxied: whether the server was to be reached through a proxy.
    """
    if isinstance(error, BadStatus):
        return ERROR_STATUS
    if isinstance(error, ConnectError) and str(error).startswith("cannot resolve"):
        return PROXY if proxied else CANNOT_RESOLVE
    if isinstance(error, TLSError):
        if _has_cause(error, ssl.SSLCertVerificationError):
            return CERTIFICATE
        if "is not one of the pins" in str(error):
            return WRONG_PIN
    if isinstance(error, ConnectionTerminated):
        return HTTP2_CONNECTION if error.error_code else CANNOT_RECEIVE
    if isinstance(error, RemoteProtocolError) and version is HTTPVersion.http20:
        malformed = isinstance(error, InvalidResponseError)
        return HTTP2_STREAM if malformed else HTTP2_CONNECTION
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return CANNOT_RECEIVE


def _run(options: Options) -> int:
    if options.manual or options.completion:
        from .manual import completion, manual

        text = completion(options.completion) if options.completion else manual()
        BodyView(sys.stdout).write(text.encode())
        return 0
    if not options.words and len(options.traces) > 1 and not options.local:
        return _convert(options.traces)
    for path in options.traces:
        _check_trace(path)
        options.null |= path == "-"  # Standard output is taken.
    if not options.local:
        return _perform(options, None)
    try:
        with serving() as url:
            if url.startswith("http:") and not (options.http11 or options.upgrade):
                options.h2 = True  # Or nothing of HTTP/2 could be seen.
            return _perform(options, url)
    except NoServer as error:
        return _fail(error, CANNOT_CONNECT)


def _perform(options: Options, server: str | None) -> int:
    """Make the requests of a command line; return the exit status."""
    order = parse_words(options.words, server)
    asks = _asks(order, options)
    if options.curl:
        from .curl import curl_line

        line = curl_line(asks, order.items, options)
        BodyView(sys.stdout).write(f"{line}\n".encode())
        return 0
    paint = Painter(wants_colours(sys.stderr, options.pretty))
    kept: list[Record] = []
    stat = Stat()
    recorder = _recorder(options, paint, kept, stat)
    view = BodyView(sys.stdout, options.pretty, options.raw)
    try:
        with Connector(options, recorder) as connector:

            def report(error: Exception, ask: Ask) -> int:
                return _told(error, connector, ask)

            transfer = Transfer(options, connector, view, sys.stderr, paint, report)
            return _guarded(transfer, connector, asks)
    finally:  # What there is to see of a failure, or of Ctrl-C, is worth seeing.
        if options.stat:
            print("\n".join(stat.lines()), file=sys.stderr)
        for path in options.traces:
            if path == "-":
                for line in lines(kept, _started(recorder)):
                    view.write(line.encode())
            else:
                _save(path, kept, _started(recorder))


def _asks(order: Order, options: Options) -> list[Ask]:
    """Return the requests that a command line asks for."""
    if options.netrc is not None and order.credentials is None:
        from .netrc import credentials_for

        host = parse_host(order.server).host
        order = replace(order, credentials=credentials_for(host, options.netrc))
    content = content_of(order.items, options.data, options.form, options.multipart)
    first = ask_of(order, content, options)
    asks = [first]
    for url in options.also:
        there = parse_url(urljoin(f"{first.server}/", url))
        if there.server != first.server:
            raise UsageError(f"--also {url!r}: not on the server of the first URL")
        asks.append(replace(first, target=there.target))
    asks = asks * options.copies
    if len(asks) > 1:
        if content is not None and not content.replayable:
            raise UsageError("standard input cannot be sent more than once")
        if options.follow:
            raise UsageError("redirects of several requests are not followed")
    return asks


def _guarded(transfer: Transfer, connector: Connector, asks: list[Ask]) -> int:
    """Make the requests; return the exit status, having told what went wrong."""
    try:
        if len(asks) > 1:
            return transfer.several(asks)
        transfer.one(asks[0])
        return 0
    except (HyperError, BadStatus) as error:
        return _told(error, connector, asks[0])
    except BadRedirect as error:
        return _fail(error, BAD_REDIRECT)
    except TooManyRedirects as error:
        return _fail(error, REDIRECTS)
    except CannotResume as error:
        return _fail(error, ERROR_STATUS if error.status >= 400 else BAD_RANGE)
    except BadTLSFile as error:
        return _fail(error, CLIENT_CERTIFICATE if error.of_client else BAD_CA_FILE)
    except ValueError as error:
        return _fail(error, USAGE_ERROR)


def _told(error: Exception, connector: Connector, ask: Ask) -> int:
    """Say what went wrong with a request; return the exit status."""
    if isinstance(error, LocalProtocolError):
        return _fail(error, USAGE_ERROR)
    version = connector.to(ask.server).version
    return _fail(error, exit_status(error, version, connector.proxied(ask.server)))


def _fail(error: Exception, status: int) -> int:
    """Say in one line what went wrong, and what may help."""
    log.debug("exit status %d", status, exc_info=True)
    text = " ".join(one_line(str(error)).replace(r"\n", " ").split())
    hint = _hint(text, status)
    print(f"hyper: {text}. {hint}" if hint else f"hyper: {text}", file=sys.stderr)
    return status


def _hint(text: str, status: int) -> str:
    if "ALPN chose" in text:
        return "--h2 demands HTTP/2."
    if "h2c='prior-knowledge'" in text:
        return "--h2 does that."
    if "what is not HTTP/1" in text:
        return "Perhaps it is HTTP/2: --h2 speaks that at once."
    if "does not speak TLS on this port" in text:
        return "Try http://."
    return _HINTS.get(status, "")


def _has_cause(error: BaseException, kind: type[Exception]) -> bool:
    cause = error.__cause__
    return cause is not None and (isinstance(cause, kind) or _has_cause(cause, kind))


# What is told of the wire.


def _recorder(
    options: Options, paint: Painter, kept: list[Record], stat: Stat
) -> Recorder | None:
    """Return what records the connections; None if nobody wants to know."""
    sinks: list[Sink] = []
    if Shown.of(options).request_head:
        sinks.append(HeadView(sys.stderr, paint))
    kinds = options.frames
    if options.debug or ((options.hpack or options.hexdump) and not kinds):
        kinds = kinds or frozenset(FRAME_KINDS)
    if kinds:
        hpack = options.hpack or options.debug
        sinks.append(FrameView(sys.stderr, paint, kinds, hpack, options.hexdump))
    if options.stat:
        sinks.append(stat)
    if options.traces:
        sinks.append(kept.append)
    if not sinks:
        return None

    def tell(record: Record) -> None:
        for sink in sinks:
            sink(record)

    return Recorder(
        tell,
        secrets=options.trace_secrets,
        tables=options.hpack or options.debug,
        payloads=options.hexdump,
    )


def _check_trace(path: str) -> None:
    if path != "-":
        try:
            writer(path)
        except ValueError as error:
            raise UsageError(f"--trace {error}") from error


def _started(recorder: Recorder | None) -> datetime:
    assert recorder is not None  # Somebody asked for a trace.
    return recorder.started


def _save(path: str, records: Sequence[Record], started: datetime) -> None:
    try:
        save(records, path, started)
    except OSError as error:
        raise CannotWrite(error, one_line(path)) from error


def _convert(paths: Sequence[str]) -> int:
    """Read a trace, and write it in other ways."""
    source, *targets = paths
    for path in targets:
        if path == "-":
            raise UsageError("a trace that was read can be written to files only")
        _check_trace(path)
    try:
        records, started = load(source)
    except ValueError as error:
        return _fail(error, USAGE_ERROR)
    except OSError as error:
        raise CannotRead(error, repr(source)) from error
    for path in targets:
        _save(path, records, started)
    return 0


class _HarmlessFormatter(logging.Formatter):
    """Formats what does nothing to a terminal but to be shown."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))


@contextlib.contextmanager
def _logging_to_stderr(debug: bool) -> Iterator[None]:
    """Show what the library logs, if it is wanted."""
    if not debug:
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_HarmlessFormatter("%(name)s: %(message)s"))
    logger = logging.getLogger("hyper")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
