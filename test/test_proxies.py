"""The real proxies do what the table of their features says. The witness is curl."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from servers import (
    HELLO,
    PASSWORD,
    PROXIES,
    PROXY_FEATURES,
    USERNAME,
    RealServer,
    realserver,
)
from servers.fixtures import FreshServers, SharedServers

every_proxy = pytest.mark.parametrize("name", PROXIES)

KNOWN = f"{USERNAME}:{PASSWORD}"
WRONG = f"{USERNAME}:not-{PASSWORD}"


def curl(server: RealServer, proxy: str, *arguments: str) -> tuple[str, bytes]:
    """Get /hello of the backend; return curl's status, CONNECT's, and the body."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "-q", "--silent", "--max-time", "20", "--noproxy", ""]
    command += ["--proxy", proxy, "--proxy-cacert", str(server.ca_file)]
    command += ["--write-out", "%{stderr}%{exitcode} %{http_connect} %{http_code}"]
    command += [*arguments, f"http://127.0.0.1:{server.backend_port}/hello"]
    done = subprocess.run(command, capture_output=True, timeout=30)
    return done.stderr.decode(), done.stdout


@every_proxy
def test_a_tunnel_leads_to_the_backend(real_server: SharedServers, name: str):
    server = real_server(name, "connect")
    said = curl(server, server.proxy_url("http"), "--proxytunnel")
    assert said == ("0 200 200", HELLO)


@every_proxy
def test_a_request_is_passed_on(real_server: SharedServers, name: str):
    server = real_server(name, "forward")
    assert curl(server, server.proxy_url("http")) == ("0 000 200", HELLO)


@every_proxy
def test_a_proxy_may_speak_tls(real_server: SharedServers, name: str):
    server = real_server(name, "tls")
    said = curl(server, server.proxy_url("https"), "--proxytunnel")
    assert said == ("0 200 200", HELLO)


@every_proxy
@pytest.mark.parametrize(
    ("scheme", "features"), [("http", ["connect", "auth"]), ("https", ["tls-auth"])]
)
def test_a_tunnel_is_for_those_with_credentials(
    real_server: SharedServers, name: str, scheme: str, features: list[str]
):
    server = real_server(name, *features)
    known = curl(server, server.proxy_url(scheme, KNOWN), "--proxytunnel")
    assert known == ("0 200 200", HELLO)
    for credentials in (WRONG, ""):
        proxy = server.proxy_url(scheme, credentials)
        status, body = curl(server, proxy, "--proxytunnel")
        assert (status.split()[1] in ("401", "407"), body) == (True, b"")


@every_proxy
@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h"])
def test_socks_leads_to_the_backend(real_server: SharedServers, name: str, scheme: str):
    server = real_server(name, scheme.removesuffix("h"))
    assert curl(server, server.proxy_url(scheme)) == ("0 000 200", HELLO)


@every_proxy
def test_socks_is_for_those_with_credentials(real_server: SharedServers, name: str):
    server = real_server(name, "socks5", "auth")
    known = curl(server, server.proxy_url("socks5h", KNOWN))
    assert known == ("0 000 200", HELLO)
    assert curl(server, server.proxy_url("socks5h", WRONG)) == ("97 000 000", b"")


@every_proxy
def test_what_a_proxy_cannot_do_has_a_reason(name: str):
    recipe = PROXIES[name]
    assert recipe.features | recipe.cannot.keys() == PROXY_FEATURES.keys()
    assert all(recipe.cannot.values())


@every_proxy
def test_a_proxy_comes_back_on_its_ports_and_leaves_them(
    fresh_server: FreshServers, name: str
):
    server = fresh_server(name)
    ports, pid = server.ports, server.pid
    server.restart()
    assert (server.ports, server.running) == (ports, True)
    assert server.pid != pid
    server.stop()
    assert ports.proxy is not None
    assert not realserver.accepts(ports.proxy)
