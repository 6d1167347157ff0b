"""Apache httpd with the event MPM and mod_http2; the backend through mod_proxy."""

from __future__ import annotations

import os
import pwd
import signal
from pathlib import Path

from .recipe import Place, Recipe, Reload, program

MODULE_DIRECTORIES = (
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
)
MODULES = (
    "mpm_event",
    "unixd",
    "authn_core",
    "authz_core",
    "headers",
    "filter",
    "deflate",
    "socache_shmcb",
    "ssl",
    "http2",
    "proxy",
    "proxy_http",
)

SITE = """
    DocumentRoot {docroot}
    <Directory {docroot}>
        Require all granted
        AllowOverride None
    </Directory>
    <Location /text>
        ForceType text/plain
        SetOutputFilter DEFLATE
    </Location>
    ProxyPass /hello !
    ProxyPass /10mb !
    ProxyPass /text !
    # flushpackets: else the bytes of /never are gathered until there are many.
    ProxyPass / {backend}/ flushpackets=on disablereuse=on
"""

CONFIGURATION = """
{modules}
{user}
ServerRoot {directory}
ServerName localhost
DefaultRuntimeDir {directory}
PidFile {directory}/httpd.pid
Mutex file:{directory} default
ErrorLog {directory}/error.log
LogLevel notice
H2EarlyHints on
{options}
Timeout 60
KeepAliveTimeout 60
StartServers 1
ServerLimit 4
ThreadsPerChild 32
MaxRequestWorkers 128
MinSpareThreads 1
MaxSpareThreads 128
Listen 127.0.0.1:{tls} https
Listen 127.0.0.1:{plain} http
Listen 127.0.0.1:{h1_tls} https
SSLCertificateFile {cert_file}
SSLCertificateKeyFile {key_file}
<VirtualHost 127.0.0.1:{tls}>
    SSLEngine on
    Protocols h2 http/1.1
    {site}
</VirtualHost>
<VirtualHost 127.0.0.1:{plain}>
    Protocols h2c http/1.1
    {site}
</VirtualHost>
<VirtualHost 127.0.0.1:{h1_tls}>
    SSLEngine on
    Protocols http/1.1
    {site}
</VirtualHost>
"""


def load_modules() -> str:
    candidates = (Path(name) for name in MODULE_DIRECTORIES)
    directory = next(filter(Path.is_dir, candidates), Path(MODULE_DIRECTORIES[0]))
    lines = []
    for name in MODULES:
        path = directory / f"mod_{name}.so"
        # What is not there as a file is compiled into the program.
        if path.exists():
            lines.append(f"LoadModule {name}_module {path}")
    return "\n".join(lines)


def user_of_workers() -> str:
    """Return the lines that say who the workers are; only root may say so.

    Apache's workers refuse to be root.
    """
    if os.geteuid() != 0:
        return ""
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = users.get("www-data") or users.get("apache") or users["nobody"]
    return f"User #{entry.pw_uid}\nGroup #{entry.pw_gid}"


def prepare(place: Place) -> list[list[str]]:
    options = []
    if place.options.max_concurrent_streams is not None:
        options.append(f"H2MaxSessionStreams {place.options.max_concurrent_streams}")
    if place.options.keepalive_requests is not None:
        # It does not count the first request of a connection (seen with 2.4.71).
        options.append(f"MaxKeepAliveRequests {place.options.keepalive_requests - 1}")
    text = CONFIGURATION.format(
        modules=load_modules(),
        user=user_of_workers(),
        directory=place.directory,
        cert_file=place.authority.cert_file,
        key_file=place.authority.key_file,
        options="\n".join(options),
        tls=place.ports.tls,
        plain=place.ports.h2c,
        h1_tls=place.ports.h1_tls,
        site=SITE.format(docroot=place.docroot, backend=place.backend),
    )
    path = place.write("httpd.conf", text)
    early_log = str(place.directory / "early.log")
    return [[place.program, "-D", "FOREGROUND", "-f", str(path), "-E", early_log]]


RECIPE = Recipe(
    name="apache",
    package="apt-get install apache2",
    find=program("apache2", "httpd"),
    prepare=prepare,
    ports=(("tls",), ("h2c", "h1"), ("h1_tls",)),
    needs_backend=True,
    public_docroot=True,
    # It accepts before it handles signals: one to reload would end it.
    ready_words="resuming normal operations",
    reload=Reload(signal.SIGUSR1, "resuming normal operations"),
    cannot={
        "keepalive-requests": "MaxKeepAliveRequests is for HTTP/1.1 alone",
        "websocket": "the backend speaks no WebSocket",
    },
)
