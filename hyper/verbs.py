"""The verbs of a connection: what users call.

They are http.client's, and every one is a few lines: it checks what it was given, makes
an :class:`~hyper.exchange.Exchange` of it, and leaves the rest to
:class:`~hyper.exchange.Exchanger`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from .common.body import Body, BodyLike
from .common.exceptions import HyperError, LocalProtocolError
from .common.memo import keep
from .common.moment import Moment, Watch
from .common.protocol import CANCEL
from .common.request import Request
from .common.target import (
    Origin,
    authority,
    connect_target,
    parse_host,
    request_target,
)
from .common.validation import (
    Headers,
    RequestFields,
    drop_forbidden_trailers,
    fields,
    method,
    priority_value,
    protocol_name,
    split_request,
)
from .exchange import (
    MAX_QUEUED,
    UNSET,
    Exchange,
    Exchanger,
    Progress,
    R,
    Unset,
    has_head,
)
from .transport import dial
from .transport.deadline import Deadlines, PerThread, TimeoutLike

#: How many requests whose end nobody wants any more can still be sent to, in vain.
UNFINISHED_KEPT = 100

#: How many times headers are remembered to be in order, and up to how many characters.
CHECKED_KEPT = 8
LARGEST_CHECKED = 2048

#: How urgent a response is; see :meth:`Connection.request`.
Priority = int | str | bytes | None

#: Methods whose requests have a Content-Length even if it is 0 (RFC 9110 section 8.6).
_WITH_CONTENT = frozenset((b"POST", b"PUT", b"PATCH"))


@dataclass(slots=True)
class Draft:
    """A request that is being put together, by ``putrequest`` and ``putheader``."""

    stream_id: int
    method: str | bytes
    url: str | bytes
    timeout: TimeoutLike | Deadlines | Unset
    priority: Priority
    protocol: str | bytes | None
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)


class _Own(PerThread):
    """What a thread that uses ``putrequest`` has for itself."""

    def __init__(self) -> None:
        #: The requests that it puts together, by their ids, the latest last.
        self.drafts: dict[int, Draft] = {}
        #: The last one whose headers it sent.
        self.stream_id: int | None = None


class Connection(Exchanger[R]):
    """A connection to one origin, shared by any number of threads.

    Every method may be called from any thread at any time.
    """

    def __init__(
        self,
        origin: Origin,
        tls: dial.TLSParameters | None,
        timeout: TimeoutLike,
        route: dial.Route = dial.STRAIGHT,
    ) -> None:
        super().__init__(origin, tls, timeout, route)
        self._own = _Own()
        # What was found of headers before, by what the user gave. Needs no lock: what
        # is in it is right, whoever found it.
        self._checked: dict[tuple[object, ...], RequestFields] = {}

    def set_tunnel(
        self, host: str, port: int | None = None, headers: Headers | None = None
    ) -> None:
        """Talk to ``host``, through a tunnel that the connection's own host opens.

        As in http.client: the host that the connection was made for is an HTTP proxy,
        which is spoken to without TLS and asked by CONNECT. TLS, if it is to be spoken,
        begins in the tunnel, and ``host`` is whose certificate has to be shown there.

        :param host: as for the constructor.
        :param port: None for the one in ``host``, else 443 with TLS and 80 without.
        :param headers: fields for the proxy alone, such as Proxy-Authorization.
        :raises LocalProtocolError: if the connection is made, or being made, and not
            closed again; if it has a proxy; if ``host`` names no server; or if
            ``headers`` are not fit to be sent.
        """
        own, route = self._given
        origin = parse_host(host, port, own.secure)
        through = route.through(own, headers)
        with self._mutex:
            if self._call is not None or self._exchanges or self.is_connected:
                raise LocalProtocolError("it is too late for a tunnel: close() first")
            self._closings += 1  # What was begun before is not sent there.
            self._origin, self._route = origin, through
            self._authority = authority(origin)

    def connect(
        self,
        *,
        timeout: TimeoutLike | Deadlines | Unset = UNSET,
        watch: Watch | None = None,
    ) -> None:
        """Connect, if there is no usable connection. Requests do so by themselves.

        :param timeout: as for :meth:`request`, as is ``watch``; its ``connect`` limit
            counts.
        :raises ConnectError, TLSError, ConnectTimeout: if no connection can be made.
        """
        self._get_line(self._deadlines(timeout), self._closings, watch)

    def request(
        self,
        method: str | bytes,
        url: str | bytes,
        body: BodyLike = None,
        headers: Headers | None = None,
        *,
        data: BodyLike = None,
        timeout: TimeoutLike | Deadlines | Unset = UNSET,
        progress: Progress | None = None,
        priority: Priority = None,
        protocol: str | bytes | None = None,
        watch: Watch | None = None,
    ) -> int:
        """Send a request, and return its id at once: the response comes later.

        Waits while the server allows no more requests at a time, while the network
        takes the body, and for nothing else.

        :param method: a token such as ``GET``, sent as given.
        :param url: the path with or without a query. Of an absolute URL only these are
            used. With the method ``CONNECT``: ``host:port``; with ``OPTIONS`` perhaps
            ``*``.
        :param body: str (sent as UTF-8), bytes, a binary file or anything with
            ``read``, an iterable of bytes, or None. ``data`` is another name for it.
        :param headers: a mapping, pairs, or an ``HTTPHeaderMap``. Content-Length is
            added where the size is known; Host (``:authority``) may be overridden.
        :param timeout: the limits of this exchange in seconds: a number, a pair
            (connect, read), a :class:`hyper.Timeout`, or None for no limit. If it is
            not given, the connection's. Deadlines that run already are taken as they
            are.
        :param progress: a function of (bytes sent, bytes in all or None), called in
            this thread after each piece of the body.
        :param priority: how soon the response is needed (RFC 9218), for the server to
            weigh against the others: 0 (first) to 7 (when there is time), where 3 is
            the default; or the value of the Priority field, such as ``u=5, i``.
        :param protocol: what to speak with the server itself over a CONNECT (RFC 8441),
            as ``websocket``; ``url`` is a path then. HTTP/2 only.
        :param watch: a function of (:class:`~hyper.common.moment.Moment`,
            :class:`~hyper.HTTPVersion` or None if it is not known yet), called in the
            thread that sends or awaits, as things happen to the request.
        :returns: the id to give to :meth:`get_response`.
        :raises LocalProtocolError: if HTTP, or this server, does not allow such a
            request.
        :raises TypeError: if an argument is of the wrong type.
        :raises ConnectError, TLSError, ConnectTimeout: if no connection can be made.
        :raises WriteTimeout, PoolTimeout: if the server did not take it in time.

        Errors in the arguments are raised before anything is sent. An exception that
        comes out of ``body``, ``progress`` or ``watch`` cancels the request and is
        passed on.

        With a field ``Expect: 100-continue`` the body is held back until the server
        asks for it, at most one second, and not sent if it answers at once.

        A CONNECT stays open: when its response has come with a 2xx status, :meth:`send`
        sends through the tunnel, and what comes out of it is the response's body.
        """
        if body is not None and data is not None:
            raise TypeError("body and data are two names of one argument")
        sent_body = Body.of(data if body is None else body)
        request = self._prepare(method, url, sent_body, headers, priority, protocol)
        exchange = Exchange(
            request,
            sent_body,
            self._deadlines(timeout),
            self._closings,
            progress=progress,
            watch=watch,
            final=not request.is_connect,
        )
        return self._begin(exchange)

    def get_response(self, stream_id: int | None = None) -> R:
        """Wait for the response to a request, and return it when its head is there.

        :param stream_id: what :meth:`request` returned. None: the oldest request whose
            response nobody has asked for.
        :raises LocalProtocolError: if there is no such request.
        :raises ReadTimeout: if no response came in time; the request is cancelled.
        :raises HyperError: why there is no response. ``retry_safe`` tells whether the
            server can have acted on the request.
        """
        exchange = self._claim(stream_id)
        try:
            while True:
                error = self._wait_for_head(exchange)
                if error is None:
                    if not self._was_misdirected(exchange):
                        return self._make_response(exchange)
                elif not self._try_again(exchange, error):
                    raise self._explain(exchange, error)
                exchange.tell(Moment.again, exchange.line)
                self._send(exchange)
        except HyperError:
            raise
        except BaseException:
            # A signal handler raised it: the response may still be asked for.
            with self._mutex:
                self._exchanges[exchange.stream_id] = exchange
            raise

    def as_completed(self, stream_ids: Iterable[int] | None = None) -> Iterator[R]:
        """Iterate over the responses to several requests, as their heads come.

        Each response knows its ``stream_id``.

        :param stream_ids: what :meth:`request` returned. None: all requests whose
            responses nobody has asked for.
        :raises LocalProtocolError: if there is no such request.
        :raises HyperError: as :meth:`get_response` does. The error is that of the
            oldest request that failed, which is forgotten with it; the others can be
            asked for again.
        """
        with self._mutex:
            waiting = list(self._exchanges if stream_ids is None else stream_ids)
            exchanges = [self._peek(stream_id) for stream_id in waiting]
        while exchanges:
            arrived = [one for one in exchanges if has_head(one)]
            for exchange in arrived:
                exchanges.remove(exchange)
                yield self.get_response(exchange.stream_id)
            if exchanges and not arrived:
                self._wait_for_any_head(exchanges)

    def cancel(self, stream_id: int) -> None:
        """Give up a request whose response nobody has asked for yet.

        HTTP/2 resets its stream, HTTP/1.1 closes the connection. Does nothing if there
        is no such request.

        :param stream_id: what :meth:`request` returned.
        """
        with self._mutex:
            exchange = self._exchanges.pop(stream_id, None)
            self._unfinished.pop(stream_id, None)
        if exchange is not None:
            with exchange.line.socket:
                exchange.line.protocol.reset(exchange.stream, None, CANCEL)

    def getresponse(self, stream_id: int | None = None) -> R:
        """Do as :meth:`get_response`: http.client's name for it."""
        return self.get_response(stream_id)

    # A request in pieces, as in http.client.

    def putrequest(
        self,
        method: str | bytes,
        selector: str | bytes,
        skip_host: bool = False,
        skip_accept_encoding: bool = False,
        *,
        timeout: TimeoutLike | Deadlines | Unset = UNSET,
        priority: Priority = None,
        protocol: str | bytes | None = None,
    ) -> int:
        """Begin to put a request together. Nothing is sent before :meth:`endheaders`.

        A request is put together in one thread. One that does so with several at a time
        gives ``stream_id`` to the calls that follow.

        :param skip_host: accepted for http.client's sake, as the next is; nothing is
            added that could be skipped, and HTTP/2 cannot do without an authority.
        :param timeout: as for :meth:`request`, as are the next two.
        :returns: the id that :meth:`request` would have returned.
        """
        stream_id = self._reserve_stream_id()
        drafts = self._own.drafts
        drafts[stream_id] = Draft(
            stream_id, method, selector, timeout, priority, protocol
        )
        if len(drafts) > UNFINISHED_KEPT:
            del drafts[next(iter(drafts))]
        return stream_id

    def putheader(
        self,
        header: str | bytes,
        *argument: str | bytes | int,
        stream_id: int | None = None,
        replace: bool = False,
    ) -> None:
        """Add a field to this thread's request.

        :param argument: the value; several are joined with commas.
        :param stream_id: which request; None for the one begun last.
        :param replace: whether to drop the fields of this name that were put before.
        :raises LocalProtocolError: without :meth:`putrequest`, or as ``request`` does.
        """
        draft = self._draft(stream_id)
        ((name, _),) = fields([(header, b"")])
        values = [value for _, value in fields((name, one) for one in argument)]
        if replace:
            draft.fields = [
                one for one in draft.fields if one[0].lower() != name.lower()
            ]
        draft.fields.append((name, b", ".join(values)))

    def endheaders(
        self,
        message_body: BodyLike = None,
        final: bool = False,
        stream_id: int | None = None,
    ) -> int:
        """Send the headers of this thread's request, and return its id.

        :param message_body: the beginning of the body, or all of it.
        :param final: whether the request ends with it. If not, :meth:`send` goes on.
        :param stream_id: as for :meth:`putheader`.
        :raises HyperError: as :meth:`request` does.
        """
        draft = self._draft(stream_id)
        del self._own.drafts[draft.stream_id]
        body = Body.of(message_body)
        request = self._prepare(
            draft.method,
            draft.url,
            body if final else Body(None, False, b""),
            draft.fields,
            draft.priority,
            draft.protocol,
        )
        exchange = Exchange(
            request,
            body if final else Body(None, False, body),
            self._deadlines(draft.timeout),
            self._closings,
            stream_id=draft.stream_id,
            final=final,
        )
        self._own.stream_id = self._begin(exchange)
        return draft.stream_id

    def send(
        self, data: BodyLike, final: bool = False, stream_id: int | None = None
    ) -> None:
        """Send more of a body, while another thread may read the response.

        If the response has ended or the request has failed, nothing is sent: what
        happened is for :meth:`get_response` and the response to tell.

        :param data: as ``body`` of :meth:`request`; may be empty.
        :param final: whether the request ends with it.
        :param stream_id: which request; None for the last one whose headers this
            thread sent.
        :raises LocalProtocolError: if that request is unknown or complete already.
        :raises WriteTimeout: if the server did not take it in time.
        """
        exchange = self._unfinished_exchange(stream_id)
        exchange.final = final
        body = Body.of(data)
        try:
            self._upload(exchange, body)
        except BaseException as error:
            self._give_up(exchange, error)
            raise
        if final or exchange.stream.sent:
            self._finish_request(exchange)

    def send_trailers(self, trailers: Headers, stream_id: int | None = None) -> None:
        """End a request with a trailer section (RFC 9110 section 6.5).

        :param trailers: as ``headers`` of :meth:`request`.
        :param stream_id: as for :meth:`send`.
        :raises LocalProtocolError: if a field may not be a trailer, or the request has
            a Content-Length in HTTP/1.1, which leaves no room for trailers.
        """
        section = fields(trailers)
        if drop_forbidden_trailers(section) != section:
            raise LocalProtocolError("one of the fields may not be in trailers")
        exchange = self._unfinished_exchange(stream_id)
        exchange.meter.finish()
        stream = exchange.stream
        with exchange.line.socket as wire:
            if not stream.over and not stream.sent:
                exchange.line.protocol.send_trailers(stream, section)
                doing = f"sending the trailers on stream {stream.stream_id}"
                wire.wait_drained(exchange.deadlines.write(), doing, MAX_QUEUED)
        self._finish_request(exchange)

    # The parts.

    def _forget_unfinished(self) -> None:
        """Forget requests that will not be finished: ``_mutex`` is held."""
        if len(self._unfinished) > UNFINISHED_KEPT:
            self._unfinished = {
                number: exchange
                for number, exchange in self._unfinished.items()
                if not exchange.stream.unwanted
            }

    def _draft(self, stream_id: int | None) -> Draft:
        drafts = self._own.drafts
        if stream_id is None and drafts:
            stream_id = next(reversed(drafts))
        draft = drafts.get(stream_id or 0)
        if draft is None:
            raise LocalProtocolError("putrequest() comes first, in the same thread")
        return draft

    def _unfinished_exchange(self, stream_id: int | None) -> Exchange:
        number = self._own.stream_id if stream_id is None else stream_id
        with self._mutex:
            exchange = self._unfinished.get(number or 0)
        if exchange is None:
            raise LocalProtocolError(f"no request {number!r} is still being sent")
        return exchange

    def _finish_request(self, exchange: Exchange) -> None:
        with self._mutex:
            self._unfinished.pop(exchange.stream_id, None)

    def _begin(self, exchange: Exchange) -> int:
        self._send(exchange)
        number = exchange.stream_id
        with self._mutex:
            self._exchanges[number] = exchange
            if not exchange.final and not exchange.stream.sent:
                self._unfinished[number] = exchange
                self._forget_unfinished()
        if not exchange.final:
            self._own.stream_id = number
        return number

    def _prepare(
        self,
        verb: str | bytes,
        url: str | bytes,
        body: Body,
        headers: Headers | None,
        priority: Priority,
        protocol: str | bytes | None,
    ) -> Request:
        """Check all that the user gave, and return what is to be sent."""
        name = method(verb)
        if headers is None:
            given = RequestFields(None, None, False, [])
        else:
            given = self._check(headers)
        if priority is not None:
            added = (b"Priority", priority_value(priority))
            given = given._replace(rest=[*given.rest, added])
        if name == b"CONNECT":
            return self._prepare_connect(url, body, given, protocol)
        if protocol is not None:
            raise LocalProtocolError("only CONNECT has a protocol")
        length = body.length
        if given.content_length is not None:
            if length is not None and length != given.content_length:
                raise LocalProtocolError(
                    f"the body has {length} bytes, but its Content-Length says "
                    f"{given.content_length}"
                )
            length = given.content_length
        elif given.chunked:
            length = None
        sent = given.rest
        if length is not None and (
            length or given.content_length is not None or name in _WITH_CONTENT
        ):
            sent = sent + [(b"Content-Length", b"%d" % length)]
        return Request(
            name,
            self._origin.scheme.encode("ascii"),
            given.host or self._authority,
            _target(name, url),
            sent,
            length,
        )

    def _check(self, headers: Headers) -> RequestFields:
        """Return what the user gave as headers, checked and sorted.

        Most programs give the same again and again. What is returned is never changed.
        """
        key: tuple[object, ...]
        if type(headers) is dict:
            key = tuple(headers.items())
        elif type(headers) is list:
            key = tuple(headers)
        else:
            return split_request(fields(headers))
        try:
            checked = self._checked.get(key)
        except TypeError:  # There are lists in it.
            return split_request(fields(headers))
        if checked is None:
            checked = split_request(fields(headers))
            texts = [text for pair in key for text in cast("tuple[object, ...]", pair)]
            # A str is never equal to what is none; but 1 is to True.
            if (
                all(isinstance(text, (str, bytes)) for text in texts)
                and sum(map(len, cast("list[str]", texts))) <= LARGEST_CHECKED
            ):
                keep(self._checked, key, checked, CHECKED_KEPT)
        return checked

    def _prepare_connect(
        self,
        url: str | bytes,
        body: Body,
        given: RequestFields,
        protocol: str | bytes | None,
    ) -> Request:
        """Return a CONNECT: of a tunnel to another host, or of another protocol."""
        if body.length or given.content_length or given.chunked:
            raise LocalProtocolError("a CONNECT has no content: send() comes later")
        scheme = self._origin.scheme.encode("ascii")
        if protocol is None:
            where, target = connect_target(url), b""
        else:
            where, target = given.host or self._authority, _target(b"CONNECT", url)
        return Request(
            b"CONNECT",
            scheme,
            where,
            target,
            given.rest,
            None,
            None if protocol is None else protocol_name(protocol),
        )


def _target(method: bytes, url: str | bytes) -> bytes:
    target = request_target(url)
    if target == b"*" and method != b"OPTIONS":
        # RFC 9110 section 7.1.
        raise LocalProtocolError(
            "'*' is the server itself: only OPTIONS may ask for it"
        )
    return target
