"""The requests of one command, and what becomes of their responses.

One request is the rule. It may be redirected: then the next one goes where the server
said, but what was meant for the first server is not told to another one. Several
requests are under way at the same time, on one connection, and their bodies are shown
one after the other in the order in which they were asked for.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import TextIO
from urllib.parse import quote, urljoin

from ..common.body import BodyLike
from ..common.exceptions import HyperError, LocalProtocolError
from ..common.protocol import HTTPVersion
from ..common.target import parse_host
from ..connection import HTTPConnection
from ..http11.response import HTTP11Response
from ..http20.response import HTTP20Response
from . import download
from .connect import Connector
from .content import PIECE, CannotRead, Content, Multipart
from .items import Order, UsageError, basic, parse_url
from .options import Options
from .output import BodyView, field_line, head_lines, pieces_of
from .terminal import Painter, human, one_line, plain

Response = HTTP11Response | HTTP20Response

log = logging.getLogger("hyper.cli")

#: Statuses that send the client elsewhere (RFC 9110 section 15.4).
_REDIRECTS = (301, 302, 303, 307, 308)
#: Fields that are for one server only.
_FOR_ONE_SERVER = ("authorization", "cookie", "proxy-authorization")
#: Fields that are about the body.
_ABOUT_BODY = (
    *("content-type", "content-length", "content-encoding", "content-language"),
    *("expect", "trailer", "transfer-encoding"),
)
#: Characters of a URL (RFC 3986 section 2), "%" and those that percent-encode nothing.
_IN_URL = ":/?#[]@!$&'()*+,;=%"
#: How much of a body waits in memory when its turn has not come.
_IN_MEMORY = 1024 * 1024
#: How much of the body of a redirect is read to keep the connection.
_SMALL = 65536


class BadRedirect(Exception):
    """The server sends us where we do not go."""


class TooManyRedirects(Exception):
    """The server has sent us on more often than it may."""


class BadStatus(Exception):
    """The status of a response is one of an error, and that was to be told."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, whole."""

    method: str
    server: str
    target: str
    headers: tuple[tuple[str, str], ...]
    content: Content | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What of an exchange is shown, by the letters of ``--print``."""

    request_head: bool
    request_body: bool
    response_head: bool
    body: bool
    trailers: bool
    meta: bool
    #: Whether heads are shown as they are on the wire.
    as_on_wire: bool

    @classmethod
    def of(cls, options: Options) -> Shown:
        letters = options.print
        if letters is None:
            letters = "Hhbt" if options.verbose else "hb" if options.include else "b"
        if options.quiet:
            letters = ""
        return cls(
            "H" in letters,
            "B" in letters,
            "h" in letters,
            "b" in letters,
            "t" in letters,
            "m" in letters,
            options.verbose or "H" in letters,
        )


def ask_of(order: Order, content: Content | None, options: Options) -> Ask:
    """Return the request that a command line asks for."""
    headers = list(order.items.headers)
    given = {name.lower() for name, _ in headers} | order.items.dropped

    def add(name: str, value: str) -> None:
        if name.lower() not in given:
            headers.append((name, value))

    if content is not None and content.kind is not None:
        add("Content-Type", content.kind)
    if order.credentials is not None:
        add("Authorization", basic(order.credentials))
    if options.expect_continue and content is not None:
        add("Expect", "100-continue")
    if options.te:
        add("TE", "trailers")
    return Ask(
        order.method or ("GET" if content is None else "POST"),
        order.server,
        order.target,
        tuple(headers),
        content,
    )


class Transfer:
    """Makes the requests of one command.

    :param connector: makes the connections.
    :param report: is given each failure of one request among several, and returns the
        exit status that goes with it.
    """

    def __init__(
        self,
        options: Options,
        connector: Connector,
        view: BodyView,
        err: TextIO,
        paint: Painter,
        report: Callable[[Exception, Ask], int],
    ) -> None:
        self._options = options
        self._connector = connector
        self._view = view
        self._err = err
        self._paint = paint
        self._shown = Shown.of(options)
        self._report = report
        self._is_watched = err.isatty() and not options.quiet
        self._progress = download.Progress(err, self._is_watched)

    def one(self, ask: Ask) -> None:
        """Make a request and show the response, following redirects if that is wanted.

        :raises HyperError: if there is no response, or not all of it.
        :raises BadStatus: if it is a failure and ``--fail`` was given.
        """
        connection = self._connector.to(ask.server)
        self._ping(connection)
        file = self._file(ask)
        have = download.range_for(file) if file and self._options.resume else 0
        if have:
            ask = replace(ask, headers=(*ask.headers, ("Range", f"bytes={have}-")))
        for _ in range(self._options.max_redirects + 1):
            began = time.monotonic()
            stream_id = self._send(connection, ask)
            with connection.get_response(stream_id) as response:
                self._show_head(response)
                onward = self._onward(ask, response)
                if onward is None:
                    self._finish(connection, ask, response, began, file, have)
                    return
                _read_small(response)
            connection, ask = self._connector.to(onward.server), onward
        raise TooManyRedirects(
            f"there were more than {self._options.max_redirects} redirects"
        )

    def several(self, asks: list[Ask]) -> int:
        """Make requests at the same time on one connection; return the exit status.

        A failure of one is told and does not end the others.
        """
        connection = self._connector.to(asks[0].server)
        connection.connect()
        self._ping(connection)
        if self._options.threads:
            return self._threaded(connection, asks)
        at_once = 1
        if connection.version is HTTPVersion.http20:
            at_once = max(1, connection.max_concurrent_streams)
        status = 0
        waiting: deque[tuple[Ask, int, float]] = deque()
        left = deque(asks)
        while left or waiting:
            try:
                while left and len(waiting) < at_once:
                    ask = left.popleft()
                    waiting.append((ask, self._send(connection, ask), time.monotonic()))
                ask, stream_id, began = waiting.popleft()
                with connection.get_response(stream_id) as response:
                    self._show_head(response)
                    self._finish(connection, ask, response, began)
            except LocalProtocolError:
                raise  # It is wrong with all of them.
            except (HyperError, BadStatus) as error:
                told = self._report(error, ask)
                status = status or told
        return status

    # The parts of one exchange.

    def _ping(self, connection: HTTPConnection) -> None:
        if self._options.ping:
            connection.connect()
            if connection.version is not HTTPVersion.http20:
                raise UsageError("--ping needs HTTP/2")
        for number in range(1, self._options.ping + 1):
            self._tell(f"ping {number}: {connection.ping() * 1000:.2f} ms")

    def _send(self, connection: HTTPConnection, ask: Ask) -> int:
        """Send a request and return its id."""
        log.debug("%s %s of %s", ask.method, ask.target, ask.server)
        priority = self._options.priority
        value = int(priority) if priority and priority.isdigit() else priority
        content = ask.content
        headers = list(ask.headers)
        opened = nullcontext() if content is None else content.opened()
        try:
            with opened as body:
                if content is not None:
                    if isinstance(content.source, Multipart):
                        headers.append(("Content-Length", str(content.size)))
                    if self._shown.request_body:
                        self._tell_body(content)
                if self._options.trailers:
                    return self._send_in_pieces(connection, ask, headers, body, value)
                return connection.request(
                    ask.method,
                    ask.target,
                    body,
                    headers,
                    priority=value,
                    progress=None if content is None else self._progress.update,
                )
        except OSError as error:
            if isinstance(error, HyperError):
                raise
            raise CannotRead(error) from error
        finally:
            self._progress.end()

    def _send_in_pieces(
        self,
        connection: HTTPConnection,
        ask: Ask,
        headers: list[tuple[str, str]],
        body: BodyLike,
        priority: int | str | None,
    ) -> int:
        connection.putrequest(ask.method, ask.target, priority=priority)
        for name, value in headers:
            connection.putheader(name, value)
        stream_id = connection.endheaders()
        if body is not None:
            connection.send(body, stream_id=stream_id)
        connection.send_trailers(self._options.trailers, stream_id)
        return stream_id

    def _finish(
        self,
        connection: HTTPConnection,
        ask: Ask,
        response: Response,
        began: float,
        file: Path | None = None,
        have: int = 0,
    ) -> None:
        """Do with the last response what is wanted."""
        failed = (
            self._options.fail
            and response.status >= 400
            and not (have and response.status == 416)
        )
        if not failed:
            if self._options.download == "" and file is None:
                name = download.name_for(response, ask.target)
                file = download.create(Path(name))
            if file is not None:
                self._save(response, file, have)
            elif self._shown.body and not self._options.null:
                self._view.show(response)
            else:
                for _ in pieces_of(response, self._options.raw):
                    pass
        if self._shown.trailers and not failed and response.trailers is not None:
            for field in response.trailers.iter_raw():
                self._tell(field_line(*field, self._paint))
        if self._options.push:
            self._tell_pushes(connection, response)
        if self._shown.meta:
            self._tell(
                f"{response.version.value} {response.status} on stream "
                f"{response.stream_id} in {time.monotonic() - began:.3f} s"
            )
        if failed:
            raise BadStatus(f"the server answered {response.status} {response.reason}")

    def _save(self, response: Response, file: Path, have: int) -> None:
        progress = download.Progress(
            self._err, self._is_watched, more=lambda: self._window(response)
        )
        size = download.save(response, file, have, progress, self._options.raw)
        if not self._options.quiet and self._options.download is not None:
            self._tell(f"saved {one_line(str(file))}, {human(size)}")

    def _window(self, response: Response) -> str:
        """Return how much the server may send at a time, which grows (HTTP/2)."""
        window = self._connector.window
        if window is None or response.version is not HTTPVersion.http20:
            return ""
        return f"[stream {response.stream_id}, window {human(window.target)}]"

    def _file(self, ask: Ask) -> Path | None:
        """Return the file that the body goes to, if that is known before."""
        options = self._options
        if options.output is not None:
            return None if options.output == "-" else Path(options.output)
        if options.download:
            return Path(options.download)
        if options.download == "" and options.resume:
            return Path(download.name_of(ask.target))
        return None

    # What is said on stderr.

    def _tell(self, text: str) -> None:
        self._err.write(text + "\n")
        self._err.flush()

    def _show_head(self, response: Response) -> None:
        version = response.version.value
        log.debug("%s %s %s", version, response.status, response.reason)
        if self._shown.response_head:
            lines = head_lines(response, self._shown.as_on_wire, self._paint)
            self._tell("\n".join(lines))

    def _tell_body(self, content: Content) -> None:
        if isinstance(content.source, bytes):
            self._tell(plain(content.source.decode("utf-8", "backslashreplace")))
        elif content.size is not None:
            self._tell(f"({human(content.size)})")
        else:
            self._tell("(standard input)")

    def _tell_pushes(self, connection: HTTPConnection, response: Response) -> None:
        if response.version is not HTTPVersion.http20:
            return
        for push in connection.get_pushes(response.stream_id):
            with push.get_response() as pushed:
                size = sum(map(len, pieces_of(pushed)))
                path = one_line(push.path.decode("latin-1"))
                self._tell(f"pushed {path}: {pushed.status}, {human(size)}")

    # Redirects.

    def _onward(self, ask: Ask, response: Response) -> Ask | None:
        """Return the request that a redirect asks for; None if there is none."""
        location = response.getheader("location")
        if (
            not self._options.follow
            or response.status not in _REDIRECTS
            or location is None
        ):
            return None
        return redirected(ask, response.status, location)

    # Several from several threads.

    def _threaded(self, connection: HTTPConnection, asks: list[Ask]) -> int:
        """Make the requests from threads; show the bodies in order as they come."""
        status = 0
        pool = ThreadPoolExecutor(self._options.threads, "hyper-cli")
        try:
            all_made = pool.map(lambda ask: self._made(connection, ask), asks)
            for ask, made in zip(asks, all_made, strict=True):
                if isinstance(made, Exception):
                    told = self._report(made, ask)
                    status = status or told
                else:
                    response, body = made
                    with body:
                        self._view.show(response, iter(partial(body.read, PIECE), b""))
        except BaseException:
            self._connector.close()  # It wakes the threads that wait.
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return status

    def _made(
        self, connection: HTTPConnection, ask: Ask
    ) -> tuple[Response, SpooledTemporaryFile[bytes]] | Exception:
        """Make a request; return response and body in a file, or what went wrong."""
        body = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 it is returned
        try:
            stream_id = self._send(connection, ask)
            with connection.get_response(stream_id) as response:
                self._show_head(response)
                for piece in pieces_of(response, self._options.raw):
                    if self._shown.body and not self._options.null:
                        body.write(piece)
                if self._options.fail and response.status >= 400:
                    raise BadStatus(
                        f"the server answered {response.status} {response.reason}"
                    )
        except (HyperError, BadStatus) as error:
            body.close()
            return error
        body.seek(0)
        return response, body


def redirected(ask: Ask, status: int, location: str) -> Ask:
    """Return the request that a redirect asks for.

    The method and the body change as browsers do it (RFC 9110 section 15.4). What was
    for the server that was asked is not sent to another one, nor without TLS.

    :raises BadRedirect: if it leads elsewhere than to http or https.
    :raises UsageError: if the body cannot be sent a second time.
    """
    elsewhere = BadRedirect(
        f"the server redirects to {one_line(location)}, which is neither http nor https"
    )
    try:
        # Bytes that may not stand in a URL are sent by servers all the same.
        url = urljoin(
            f"{ask.server}{ask.target}",
            quote(location.encode("latin-1"), _IN_URL),
        )
        # What parse_url() would take for a host, "data" with a port, is a scheme here.
        if not url.lower().startswith(("http://", "https://")):
            raise elsewhere
        there = parse_url(url)
        parse_host(there.server)
    except ValueError as error:
        raise elsewhere from error
    headers = list(ask.headers)
    method, content = ask.method, ask.content
    if (status == 303 and method != "HEAD") or (
        status in (301, 302) and method == "POST"
    ):
        method, content = "GET", None
        headers = [one for one in headers if one[0].lower() not in _ABOUT_BODY]
    if content is not None and not content.replayable:
        raise UsageError(
            f"the server redirects to {one_line(location)}, but standard input cannot "
            f"be sent a second time"
        )
    server = there.server.lower()
    if server != ask.server.lower():
        private = (*_FOR_ONE_SERVER, "host")
        headers = [one for one in headers if one[0].lower() not in private]
    return Ask(method, server, there.target, tuple(headers), content)


def _read_small(response: Response) -> None:
    """Read what a redirect has for a body, if that is little."""
    left = _SMALL
    for piece in pieces_of(response, raw=True):
        left -= len(piece)
        if left < 0:
            return
