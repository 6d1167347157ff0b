"""Squid: an HTTP proxy, with TLS of its own on one port."""

from __future__ import annotations

from .recipe import PROXY_FEATURES, USERNAME, Place, Recipe, program

HTTP = "it is an HTTP proxy"

#: Of `PASSWORD`: ``openssl passwd -apr1 -salt hyper``.
HASH = "$apr1$hyper$4.Hc42hW6h4VAMezYeMER/"

# It is as careful with root as it can be: started so, it becomes the user "proxy" of
# Debian's package, and its helper reads the passwords as that one. Nothing is cached,
# kept in shared memory, or asked of the machine's name servers.
CONFIGURATION = """
http_port 127.0.0.1:{proxy} name=open
http_port 127.0.0.1:{proxy_auth} name=closed
https_port 127.0.0.1:{proxy_tls} name=tls tls-cert={pair_file}
https_port 127.0.0.1:{proxy_tls_auth} name=tls_closed tls-cert={pair_file}
auth_param basic program /usr/lib/squid/basic_ncsa_auth {passwords}
acl at_closed myportname closed tls_closed
acl known proxy_auth REQUIRED
http_access deny at_closed !known
http_access allow all
cache deny all
cache_mem 0
memory_cache_shared off
sslproxy_session_cache_size 0
netdb_filename none
pinger_enable off
dns_nameservers 127.0.0.1
access_log none
cache_log /dev/null
pid_filename none
cache_effective_user proxy
visible_hostname localhost
max_filedescriptors 1024
shutdown_lifetime 0 seconds
"""


def prepare(place: Place) -> list[list[str]]:
    # The one directory here that another user than root may read.
    passwords = place.docroot / "passwords"
    passwords.write_text(f"{USERNAME}:{HASH}\n")
    text = CONFIGURATION.format(
        proxy=place.ports.proxy,
        proxy_auth=place.ports.proxy_auth,
        proxy_tls=place.ports.proxy_tls,
        proxy_tls_auth=place.ports.proxy_tls_auth,
        pair_file=place.authority.pair_file,
        passwords=passwords,
    )
    path = place.write("squid.conf", text)
    return [[place.program, "-N", "-d", "1", "-f", str(path)]]


RECIPE = Recipe(
    name="squid",
    package="apt-get install squid",
    find=program("squid"),
    prepare=prepare,
    ports=(("proxy",), ("proxy_auth",), ("proxy_tls",), ("proxy_tls_auth",)),
    needs_backend=True,
    public_docroot=True,
    words=PROXY_FEATURES,
    cannot={"socks4": HTTP, "socks5": HTTP},
)
