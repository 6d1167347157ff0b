"""HTTPie with hyper's plugins: its own command, as a process, against our servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import certifi
import pytest
import requests
from threads import background

from hyper import http2bin

pytest.importorskip("httpie", reason="httpie is not installed")

from hyper.contrib import (
    HTTP2TransportPlugin,
    HTTPTransportPlugin,
)

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as service:
        yield service


@pytest.fixture(scope="module")
def plain_service():
    with http2bin.serve(tls=False) as service:
        yield service


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder of installed packages in which httpie-hyper is the only one."""
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    told = toml.loads((ROOT / "contrib/httpie-hyper/pyproject.toml").read_text())
    folder = tmp_path_factory.mktemp("installed")
    info = folder / "httpie_hyper-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: httpie-hyper\nVersion: 1.0\n")
    lines = []
    for group, points in told["project"]["entry-points"].items():
        lines.append(f"[{group}]")
        lines += [f"{name} = {place}" for name, place in points.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def httpie(installed, service, tmp_path):
    """Return a function that runs HTTPie, and returns the process that has ended."""

    def run(*arguments, program="httpie", stdin=None):
        return subprocess.run(
            [sys.executable, "-m", program, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": f"{installed}:{ROOT}",
                "HTTPIE_CONFIG_DIR": str(tmp_path),
                "REQUESTS_CA_BUNDLE": service.ca_file,
            },
            check=False,
        )

    return run


@pytest.fixture
def lines(httpie):
    """Return a function that runs HTTPie, and returns the lines that it printed."""

    def run(*arguments, **options):
        done = httpie("--ignore-stdin", *arguments, **options)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


def test_httpie_knows_the_plugins(httpie):
    done = httpie("plugins", "list", program="httpie.manager")
    assert done.stdout.splitlines() == [
        "httpie-hyper (1.0)",
        "  hyper-http (httpie.plugins.transport.v1)",
        "  hyper-https (httpie.plugins.transport.v1)",
    ]


def test_https_is_http2(lines, service):
    assert lines("--headers", f"{service.url}/get")[0] == "HTTP/2.0 200 OK"


def test_http_is_http1(lines, plain_service):
    assert lines("--headers", f"{plain_service.url}/get")[0] == "HTTP/1.1 200 OK"


def test_http_1_0_is_shown_as_such(httpie, text_peer):
    url = f"http://127.0.0.1:{text_peer.port}"
    asking = background(httpie, "--ignore-stdin", "--headers", url)
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(b"HTTP/1.0 203 So So\r\n\r\ndone")
    text_peer.close()
    assert asking.result().stdout.splitlines()[0] == "HTTP/1.0 203 So So"


def test_cookies_are_printed_one_by_one_and_kept_in_a_session(lines, service):
    url = f"{service.url}/cookies"
    session = ("--session", "one")
    printed = lines("--headers", *session, f"{url}/set?a=1&b=2")
    cookies = [line for line in printed if line.startswith("set-cookie: ")]
    assert [line.partition(";")[0] for line in cookies] == [
        "set-cookie: a=1",
        "set-cookie: b=2",
    ]
    kept = json.loads("\n".join(lines("--body", *session, url)))
    assert kept == {"cookies": {"a": "1", "b": "2"}}


def test_redirects_are_followed_over_http2(lines, service):
    printed = lines("--follow", "--all", "--headers", f"{service.url}/redirect/2")
    assert [line for line in printed if line.startswith("HTTP/")] == [
        "HTTP/2.0 302 Found",
        "HTTP/2.0 302 Found",
        "HTTP/2.0 200 OK",
    ]


def test_fields_of_json_arrive(lines, service):
    printed = lines("--body", "PUT", f"{service.url}/put", "name=me", "n:=3")
    assert json.loads("\n".join(printed))["json"] == {"name": "me", "n": 3}


def test_header_fields_are_sent_twice_or_not_at_all(lines, service):
    fields = ("X-Twice:1", "X-Twice:2", "User-Agent:", "X-Empty;")
    sent = json.loads("\n".join(lines("--body", f"{service.url}/headers", *fields)))
    sent = {name.lower(): value for name, value in sent["headers"].items()}
    assert sent["x-twice"] == "1, 2"
    assert sent["x-empty"] == ""
    assert not sent.get("user-agent", "").startswith(("HTTPie", "python-requests"))


def test_a_form_with_a_file_arrives(lines, service, tmp_path):
    (tmp_path / "file.txt").write_text("the file")
    printed = lines("--form", "--body", f"{service.url}/post", "a=b", "f@file.txt")
    told = json.loads("\n".join(printed))
    assert "the file" in json.dumps(told)
    assert '"a"' in json.dumps(told)


def test_a_body_from_a_pipe_goes_out_in_pieces(httpie, service):
    url = f"{service.url}/echo"
    done = httpie("--chunked", "--body", url, stdin="piped")
    assert (done.stdout, done.stderr) == ("piped", "")


def test_a_download_is_a_file(httpie, service, tmp_path):
    options = ("--ignore-stdin", "--download", "--output", "file")
    done = httpie(*options, f"{service.url}/bytes/70000?seed=1")
    assert done.returncode == 0
    assert (tmp_path / "file").stat().st_size == 70_000


def test_a_stream_is_printed(lines, service):
    printed = lines("--stream", "--body", f"{service.url}/stream/3")
    assert [json.loads(line)["id"] for line in printed if line] == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "path", "status", "said"),
    [
        (["--check-status"], "/status/404", 4, "HTTP/2.0 404"),
        (["--timeout", "0.1"], "/delay/9", 2, "Request timed out (0.1s)."),
        (["--verify", certifi.where()], "/get", 1, "SSLError"),
        (["--max-redirects", "1", "--follow"], "/redirect/2", 6, "Too many redirects"),
    ],
)
def test_what_goes_wrong_is_said_and_is_the_status(
    httpie, service, options, path, status, said
):
    done = httpie("--ignore-stdin", "--headers", *options, f"{service.url}{path}")
    assert done.returncode == status
    assert said in done.stdout + done.stderr


def test_each_url_has_an_adapter_that_keeps_fields_apart(service, plain_service):
    for plugin, server in (
        (HTTP2TransportPlugin(), service),
        (HTTPTransportPlugin(), plain_service),
    ):
        with requests.Session() as session:
            session.mount(plugin.prefix, plugin.get_adapter())
            response = session.get(
                f"{server.url}/cookies/set?a=1&b=2",
                allow_redirects=False,
                verify=server.ca_file or True,
            )
        assert server.url.startswith(plugin.prefix)
        assert len(response.headers.getall("Set-Cookie")) == 2


#: HTTPie takes its folder of plugins out of the path once they are loaded.
NO_FOLDER = """
import sys
from hyper.contrib import HTTP2TransportPlugin, HTTPTransportPlugin
import requests

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name in {"hyper", "h2", "hpack", "hyperframe"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Gone())
ca_file, *urls = sys.argv[1:]
session = requests.Session()
for plugin in HTTP2TransportPlugin(), HTTPTransportPlugin():
    session.mount(plugin.prefix, plugin.get_adapter())
print([session.get(url, verify=ca_file).raw.version for url in urls])
"""


def test_what_the_plugins_need_is_loaded_with_them(service, plain_service):
    urls = [f"{service.url}/get", f"{plain_service.url}/get"]
    done = subprocess.run(
        [sys.executable, "-c", NO_FOLDER, service.ca_file, *urls],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[20, 11]\n", "")
