"""The options of the command, in groups: one table for parsing, help, man page and
completion.

Some options have a value that may be left out, such as ``--frames``: it is joined by
``=``, never the next word, which would swallow the URL. Only ``--ping`` may take a
number that follows it.
Words that begin with a dash go behind ``--``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..version import __version__
from .items import UsageError

USAGE = (
    "hyper [-h] [--version] [--debug] [METHOD] URL [REQUEST_ITEM [REQUEST_ITEM ...]]"
)
DESCRIPTION = "Make an HTTP request and print the body of the response."
ARGUMENTS = """\
arguments:
  METHOD        the method; without it GET, or POST if there is a body
  URL           where to; https:// if it names no scheme, :8443/path is
                this machine
  REQUEST_ITEM  what to send besides:
                  Name:value    a header (Name: drops it, Name; sends it empty)
                  :path:value   a pseudo-header: :authority, :method, :path
                  name==value   a parameter of the query
                  name=value    a field of the JSON object in the body
                  name:=json    the same with raw JSON
                  name@file     a file in a multipart body
                  name=@file    a field from a file; name:=@file of JSON
                  @file, @-     the body from a file, from standard input
                The first of these separators counts; a backslash before a
                character keeps it from being one. Write -- before the
                arguments if one of them begins with a dash.
"""

PRETTY = ("auto", "all", "format", "colors", "none")
SHELLS = ("bash", "zsh", "fish")
MAX_REDIRECTS = 30
#: Options whose value may be left out, and what it is then.
_OPTIONAL = {"--frames": "all", "--download": "", "--ping": "1", "--netrc": ""}
#: The kinds of frames that --frames can choose, by their names here.
FRAME_KINDS = (
    *("data", "headers", "priority", "reset", "settings", "push", "ping", "goaway"),
    *("window", "other", "connection"),
)


class Replacement(NamedTuple):
    """Where to connect to in the place of a host and a port; "" and 0 are any."""

    host: str
    port: int
    to_host: str
    to_port: int


class Options(argparse.Namespace):
    """What a command line says but for its words."""

    words: list[str]
    # body
    form: bool
    multipart: bool
    data: str | None
    expect_continue: bool
    # protocol
    h2: bool
    http11: bool
    upgrade: bool
    push: bool
    settings: dict[str | int, int]
    priority: str | None
    trailers: list[tuple[str, str]]
    te: bool
    # connect
    proxy: str | None
    noproxy: str | None
    resolve: list[Replacement]
    connect_to: list[Replacement]
    sni: str | None
    unix_socket: str | None
    netrc: str | None
    interface: str | None
    ipv4: bool
    ipv6: bool
    timeout: float | None
    connect_timeout: float | None
    # TLS
    verify: str
    cert: str | None
    key: str | None
    pins: list[str]
    tls_max: str | None
    # output
    output: str | None
    download: str | None
    resume: bool
    include: bool
    verbose: bool
    print: str | None
    null: bool
    quiet: bool
    pretty: str
    follow: bool
    max_redirects: int
    fail: bool
    raw: bool
    # debugging
    debug: bool
    frames: frozenset[str]
    hpack: bool
    hexdump: bool
    stat: bool
    traces: list[str]
    trace_secrets: bool
    ping: int
    copies: int
    also: list[str]
    threads: int
    # others
    local: bool
    curl: bool
    completion: str | None
    manual: bool


def parse(argv: Sequence[str]) -> Options:
    """Read a command line.

    :raises SystemExit: after ``-h``, ``--version`` and for what is no option.
    :raises UsageError: if options contradict each other.
    """
    # Split here: argparse's own "--" loses its meaning among options that are mixed
    # with words, and differs between the versions of Python.
    words = list(argv)
    end = words.index("--") if "--" in words else len(words)
    given: list[str] = []
    for word in words[:end]:
        if given and given[-1] == "--ping=1" and re.fullmatch("[0-9]+", word):
            given[-1] = f"--ping={word}"  # No URL is a number.
        else:
            given.append(f"{word}={_OPTIONAL[word]}" if word in _OPTIONAL else word)
    options = build_parser().parse_intermixed_args(given, namespace=Options())
    options.words += words[end + 1 :]
    _check(options)
    return options


def build_parser() -> argparse.ArgumentParser:
    """Return the parser, from which help, man page and completion are made as well."""
    parser = argparse.ArgumentParser(
        prog="hyper",
        usage=USAGE,
        description=DESCRIPTION,
        epilog=ARGUMENTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    for title, add in _GROUPS.items():
        add(parser.add_argument_group(title))
    return parser


_Group = argparse._ArgumentGroup


def _add_body(group: _Group) -> None:
    add = group.add_argument
    add("-f", "--form", action="store_true", help="send the fields as a form")
    add("--multipart", action="store_true", help="send the fields in parts")
    add("-d", "--data", metavar="TEXT", help="send this as the body")
    add(
        "--expect-continue",
        action="store_true",
        help="send the body only when the server asks for it",
    )


def _add_protocol(group: _Group) -> None:
    add = group.add_argument
    add("--h2", action="store_true", help="speak HTTP/2 and nothing else")
    add(
        *("--http1.1",),
        dest="http11",
        action="store_true",
        help="speak HTTP/1.1 and nothing else",
    )
    add(
        "--upgrade",
        action="store_true",
        help="ask a server without TLS to go over to HTTP/2",
    )
    add("--push", action="store_true", help="let the server push, and tell what came")
    add(
        "--settings",
        metavar="NAME=N,...",
        type=_settings,
        default={},
        help="what to announce, such as initial_window_size=1M,header_table_size=0",
    )
    add("--priority", metavar="VALUE", help="send this Priority: u=3,i or 0 to 7")
    add(
        "--trailer",
        metavar="NAME:VALUE",
        dest="trailers",
        action="append",
        type=_trailer,
        default=[],
        help="send a field behind the body",
    )
    add("--te", action="store_true", help="say that trailers are welcome")


def _add_connect(group: _Group) -> None:
    add = group.add_argument
    add(
        "--proxy",
        metavar="URL",
        help="connect through this proxy: http, https, socks4, socks4a, socks5 or "
        "socks5h; without it through that of the environment",
    )
    add("--noproxy", metavar="HOSTS", help="hosts without a proxy; * for all")
    add(
        "--resolve",
        metavar="HOST:PORT:ADDRESS",
        action="append",
        type=_resolution,
        default=[],
        help="take this for the address of a host",
    )
    add(
        "--connect-to",
        metavar="HOST:PORT:HOST:PORT",
        action="append",
        type=_diversion,
        default=[],
        help="connect to the latter instead of the former; empty parts mean any",
    )
    add("--sni", metavar="NAME", help="ask for this name in TLS, and verify it")
    add("--unix-socket", metavar="PATH", help="connect to this socket")
    add(
        "--netrc",
        metavar="[=FILE]",
        help="take the user and the password from .netrc, or from this file",
    )
    add("--interface", metavar="NAME", help="connect from this interface or address")
    add("-4", dest="ipv4", action="store_true", help="use IPv4 only")
    add("-6", dest="ipv6", action="store_true", help="use IPv6 only")
    add(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        help="how long to wait for the next piece of anything",
    )
    add(
        "--connect-timeout",
        metavar="SECONDS",
        type=_seconds,
        help="how long connecting may take",
    )


def _add_tls(group: _Group) -> None:
    add = group.add_argument
    add(
        "--verify",
        metavar="yes|no|PATH",
        default="yes",
        help="whether to verify the server, or the authorities to trust",
    )
    add(
        "-k",
        "--insecure",
        dest="verify",
        action="store_const",
        const="no",
        help="do not verify the server",
    )
    add("--cacert", dest="verify", metavar="PATH", help="the authorities to trust")
    add("--cert", metavar="PATH[:PASSWORD]", help="show this certificate")
    add("--key", metavar="PATH", help="its key, if that is in a file of its own")
    add(
        "--pin",
        dest="pins",
        metavar="sha256//HASH",
        action="append",
        default=[],
        help="accept this key only",
    )
    add("--tls-max", metavar="1.2|1.3", choices=("1.2", "1.3"), help="the last version")


def _add_output(group: _Group) -> None:
    add = group.add_argument
    add("-o", "--output", metavar="FILE", help="write the body to this file")
    add(
        "--download",
        metavar="[=FILE]",
        help="write the body to a file named as the server says",
    )
    add(
        "-c",
        "--continue",
        dest="resume",
        action="store_true",
        help="ask only for what the file has not got yet",
    )
    add("-i", "--include", action="store_true", help="show the head of the response")
    add(
        "-v",
        "--verbose",
        action="store_true",
        help="show the heads of request and response as they are on the wire",
    )
    add(
        "-p",
        "--print",
        metavar="HhBbtm",
        type=_printed,
        help="what to show: H and B of the request, h, b and t of the response are "
        "head, body and trailers; m is a line about the exchange",
    )
    add("-n", "--null", action="store_true", help="throw the body away")
    add("-q", "--quiet", action="store_true", help="print nothing but errors")
    add(
        "--pretty",
        choices=PRETTY,
        default="auto",
        metavar="|".join(PRETTY),
        help="whether to format and to colour",
    )
    add("-F", "--follow", action="store_true", help="follow redirects")
    add(
        "--max-redirs",
        dest="max_redirects",
        metavar="N",
        type=_number,
        default=MAX_REDIRECTS,
        help=f"how many to follow; {MAX_REDIRECTS} without it",
    )
    add(
        "--fail",
        "--check-status",
        action="store_true",
        help="end with status 22 if that of the response is 400 or above",
    )
    add("--raw", action="store_true", help="do not decompress the body")


def _add_debugging(group: _Group) -> None:
    add = group.add_argument
    add(
        "--debug",
        action="store_true",
        help="tell on stderr what is done: frames, HPACK, log",
    )
    add(
        "--frames",
        metavar="[=KIND,-KIND,...]",
        type=_frames,
        default=frozenset(),
        help=f"show the frames; of {', '.join(FRAME_KINDS)}",
    )
    add("--hpack", action="store_true", help="show how headers are compressed")
    add("--hexdump", action="store_true", help="show what is in the frames")
    add("--stat", action="store_true", help="show how long everything took")
    add(
        "--trace",
        dest="traces",
        metavar="FILE",
        action="append",
        default=[],
        help="write a trace: .html a picture, .jsonl the frames, .json for Perfetto, "
        ".har; - is .jsonl on stdout. Without a URL, a .jsonl is read",
    )
    add(
        "--trace-secrets",
        action="store_true",
        help="show Authorization, Cookie and their like",
    )
    add(
        "--ping",
        metavar="[=N]",
        type=_number,
        default=0,
        help="measure the round trip N times first",
    )
    add(
        "-m",
        "--multiply",
        dest="copies",
        metavar="N",
        type=_number,
        default=1,
        help="make each request N times, all at once",
    )
    add(
        "--also",
        metavar="URL",
        action="append",
        default=[],
        help="ask for this too, on the same connection",
    )
    add(
        "--threads",
        metavar="N",
        type=_number,
        default=0,
        help="make the requests from N threads",
    )


def _add_others(group: _Group) -> None:
    add = group.add_argument
    add("-h", "--help", action="help", help="show this and end")
    add("--version", action="version", version=f"hyper {__version__}", help="and end")
    add(
        "--local",
        action="store_true",
        help="start a server for this one request: URL is a path of hyper.http2bin",
    )
    add(
        "--curl",
        action="store_true",
        help="print the command line of curl for this request, and do nothing else",
    )
    add(
        "--completion",
        choices=SHELLS,
        metavar="|".join(SHELLS),
        help="print a script that completes this command in a shell",
    )
    add("--manual", action="store_true", help="print the man page")


_GROUPS: dict[str, Callable[[_Group], None]] = {
    "body": _add_body,
    "protocol": _add_protocol,
    "connection": _add_connect,
    "TLS": _add_tls,
    "output": _add_output,
    "debugging": _add_debugging,
    "others": _add_others,
}


def _check(options: Options) -> None:
    """Refuse options that exclude each other."""
    for names in (
        ("h2", "http11", "upgrade"),
        ("ipv4", "ipv6"),
        ("form", "multipart", "data"),
        ("output", "download", "null"),
        ("proxy", "unix_socket"),
        ("local", "curl"),
    ):
        chosen = [name for name in names if getattr(options, name) not in (None, False)]
        if len(chosen) > 1:
            spelled = " and ".join(f"--{name.replace('_', '-')}" for name in chosen)
            raise UsageError(f"{spelled} exclude each other")
    if options.resume and options.output is None and options.download is None:
        raise UsageError("--continue needs --output or --download")
    if options.copies < 1:
        raise UsageError("-m takes a number above 0")
    if (options.output or options.download is not None) and (
        options.copies > 1 or options.also
    ):
        raise UsageError("several bodies do not go into one file")
    if options.key is not None and options.cert is None:
        raise UsageError("--key needs --cert")


def _settings(text: str) -> dict[str | int, int]:
    settings: dict[str | int, int] = {}
    for one in text.split(","):
        name, equals, value = one.strip().partition("=")
        if not equals:
            raise argparse.ArgumentTypeError(f"{one!r} is not NAME=N")
        if not re.fullmatch("[A-Za-z_]+|0x[0-9A-Fa-f]{1,4}|[0-9]{1,5}", name):
            raise argparse.ArgumentTypeError(f"{name!r} is no setting")
        settings[_code(name) if name[0].isdigit() else name] = size(value)
    return settings


def _code(text: str) -> int:
    return int(text, 16 if text.startswith("0x") else 10)


def size(text: str) -> int:
    """Return a number with or without K, M or G behind it.

    :raises argparse.ArgumentTypeError: if it is none.
    """
    found = re.fullmatch(r"([0-9]+)([KMG]?)", text.strip(), re.IGNORECASE)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number such as 64K")
    return int(found[1]) << 10 * " KMG".index(found[2].upper() or " ")


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _trailer(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:VALUE")
    return name, value.strip()


def _resolution(text: str) -> Replacement:
    host, port, address = _split(text, 3)
    if not host or not port or not address:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT:ADDRESS")
    # curl takes several addresses with commas between them; one will do here.
    return Replacement(_host(host), _port(port), _host(address), 0)


def _diversion(text: str) -> Replacement:
    host, port, to_host, to_port = _split(text, 4)
    return Replacement(_host(host), _port(port), _host(to_host), _port(to_port))


def _split(text: str, number: int) -> list[str]:
    """Split at colons, but for those in brackets; the last part may have more."""
    parts = re.findall(r"(?:^|:)(\[[^\]]*\]|[^:\[]*)", text)
    if number == 3 and len(parts) > 3:  # An IPv6 address without brackets.
        parts[2:] = [":".join(parts[2:])]
    if len(parts) != number:
        raise argparse.ArgumentTypeError(f"{text!r} does not have {number} parts")
    return parts


def _host(text: str) -> str:
    return text.strip("[]").lower()


def _port(text: str) -> int:
    number = _number(text) if text else 0
    if number > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return number


def _printed(text: str) -> str:
    for letter in text:
        if letter not in "HhBbtm":
            raise argparse.ArgumentTypeError(f"{letter!r} is none of H, h, B, b, t, m")
    return text


def _frames(text: str) -> frozenset[str]:
    """Return the kinds of frames to show: those named, or all but those with a dash."""
    chosen: set[str] = set()
    dropped: set[str] = set()
    for one in text.lower().split(","):
        name = one.strip()
        wanted = dropped if name.startswith("-") else chosen
        name = name.removeprefix("-")
        if name == "all":
            wanted |= set(FRAME_KINDS)
        elif name in FRAME_KINDS:
            wanted.add(name)
        else:
            raise argparse.ArgumentTypeError(
                f"{name!r} is none of {', '.join(FRAME_KINDS)}"
            )
    return frozenset((chosen or set(FRAME_KINDS)) - dropped)
