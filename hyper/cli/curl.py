"""The same request as a command line of curl, for ``--curl``.

For a report that somebody without ``hyper`` has to follow, and for comparing. What curl
would send by itself and ``hyper`` does not is switched off. What curl cannot do is
refused: a line that does something else would be worse than none.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from ..common.target import parse_host
from .content import Content, Multipart
from .items import FIELD_FROM_FILE, FILE, JSON_FROM_FILE, Items, UsageError
from .options import Options
from .transfer import Ask

#: Options that curl has nothing like, by the names of their values.
_OURS = {
    **{name: f"--{name}" for name in ("push", "settings", "sni", "frames", "hpack")},
    **{name: f"--{name}" for name in ("hexdump", "stat", "ping", "threads", "print")},
    "trailers": "--trailer",
    "traces": "--trace",
}
#: Fields that curl sends by itself.
_BY_ITSELF = ("Accept", "User-Agent")


def curl_line(asks: list[Ask], items: Items, options: Options) -> str:
    """Return the command line, quoted for a shell.

    :param asks: the requests, which differ in nothing but their targets.
    :param items: what the body is made of.
    :raises UsageError: if curl cannot do what an option asks for.
    :raises LocalProtocolError: if there is no such server.
    """
    for name, spelled in _OURS.items():
        if getattr(options, name):
            raise UsageError(f"curl has nothing like {spelled}")
    first = asks[0]
    parse_host(first.server)
    words = ["curl"]
    for part in (_protocol(options, first), _way(options), _tls(options)):
        words += part
    words += _output(options)
    words += _method(first)
    words += _headers(first, items, options)
    if first.content is not None:
        words += _body(first.content, items)
    if "path" in items.pseudo:
        words += ["--request-target", first.target]
    urls = [one.server + one.target for one in asks]
    if any(mark in url for url in urls for mark in "[]{}"):
        words.append("--globoff")
    words += ["--path-as-is", "--parallel"][: 1 + (len(urls) > 1)]
    return shlex.join([*words, *urls])


def _protocol(options: Options, ask: Ask) -> Iterator[str]:
    secure = ask.server.startswith("https:")
    if options.http11:
        yield "--http1.1"
    elif options.h2 and not secure:
        yield "--http2-prior-knowledge"
    elif options.h2 or options.upgrade:
        yield "--http2"


def _way(options: Options) -> Iterator[str]:
    if options.proxy is not None:
        yield from ("--proxy", options.proxy)
    if options.noproxy is not None:
        yield from ("--noproxy", options.noproxy)
    for one in options.resolve:
        yield from ("--resolve", f"{one.host}:{one.port}:{one.to_host}")
    for one in options.connect_to:
        parts = (one.host, one.port or "", one.to_host, one.to_port or "")
        yield from ("--connect-to", ":".join(map(str, parts)))
    if options.unix_socket is not None:
        yield from ("--unix-socket", options.unix_socket)
    if options.interface is not None:
        yield from ("--interface", options.interface)
    if options.ipv4 or options.ipv6:
        yield "-4" if options.ipv4 else "-6"
    if options.connect_timeout or options.timeout:
        seconds = options.connect_timeout or options.timeout
        yield from ("--connect-timeout", f"{seconds:g}")
    if options.timeout:  # For the next piece: curl's --max-time is for everything.
        yield from ("--speed-limit", "1", "--speed-time", f"{options.timeout:.0f}")


def _tls(options: Options) -> Iterator[str]:
    if options.verify == "no":
        yield "--insecure"
    elif options.verify != "yes":
        is_directory = os.path.isdir(options.verify)
        yield from ("--capath" if is_directory else "--cacert", options.verify)
    if options.cert is not None:
        yield from ("--cert", options.cert)
    if options.key is not None:
        yield from ("--key", options.key)
    if options.pins:
        yield from ("--pinnedpubkey", ";".join(options.pins))
    if options.tls_max is not None:
        yield from ("--tls-max", options.tls_max)


def _output(options: Options) -> Iterator[str]:
    if options.output is not None or options.download:
        yield from ("--output", options.output or options.download or "")
    elif options.download is not None:
        yield from ("--remote-name", "--remote-header-name")
    elif options.null:
        yield from ("--output", os.devnull)
    if options.resume:
        yield from ("--continue-at", "-")
    if options.include:
        yield "--include"
    if options.verbose or options.debug:
        yield "--verbose"
    if options.quiet:
        yield from ("--silent", "--show-error")
    if options.follow:
        yield from ("--location", "--max-redirs", str(options.max_redirects))
    if options.fail:
        yield "--fail"


def _method(ask: Ask) -> Iterator[str]:
    if ask.method == "HEAD":
        yield "--head"
    elif ask.method != ("GET" if ask.content is None else "POST"):
        yield from ("--request", ask.method)


def _headers(ask: Ask, items: Items, options: Options) -> Iterator[str]:
    headers = list(ask.headers)
    if options.priority is not None:
        value = options.priority
        headers.append(("Priority", f"u={value}" if value.isdigit() else value))
    given = {name.lower() for name, _ in headers}
    if not options.raw and "accept-encoding" in given:
        yield "--compressed"
    multipart = ask.content is not None and isinstance(ask.content.source, Multipart)
    for name, value in headers:
        if not (multipart and name.lower() == "content-type"):  # It has a boundary.
            yield from ("--header", f"{name}: {value}" if value else f"{name};")
    unwanted = [*_BY_ITSELF, *sorted(items.dropped)]
    if ask.content is not None:
        unwanted += ["Expect"] if multipart else ["Content-Type", "Expect"]
    for name in unwanted:
        if name.lower() not in given:
            yield from ("--header", f"{name}:")


def _body(content: Content, items: Items) -> Iterator[str]:
    source = content.source
    if source is None:
        yield from ("--data-binary", "@-")
    elif isinstance(source, bytes):
        yield from ("--data-raw", source.decode())
    elif isinstance(source, Path):
        yield from ("--data-binary", f"@{source}")
    else:
        for part in items.parts:
            if part.separator == FILE:
                yield from ("--form", f"{part.name}=@{_quoted(part.value)}")
            elif part.separator in (FIELD_FROM_FILE, JSON_FROM_FILE):
                yield from ("--form", f"{part.name}=<{_quoted(part.value)}")
            else:
                yield from ("--form-string", f"{part.name}={part.value}")


def _quoted(path: str) -> str:
    r"""Return a path in which curl sees no ``;type=``."""
    return '"' + path.replace("\\", r"\\").replace('"', r"\"") + '"'
