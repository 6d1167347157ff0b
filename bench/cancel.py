"""Cancel downloads midway, many of them, on one connection; see that it survives.

Each cancelled download leaves behind what was on its way, which has to be credited to
the connection's window, or the connection slowly starves; and each has to be reset
once, or a server takes the client for an attacker. Node answers, over HTTP/2 and TLS.
Its nghttp2 allows 1,000 resets at once and 33 more a second: ask for no more of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from machine import describe, version_of

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

#: How much of each download to read, in bytes.
ENOUGH = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--downloads", type=int, default=1000)
    options = parser.parse_args()

    from hyperframe.frame import RstStreamFrame
    from recorder import Recorder
    from servers import SERVERS, make_authority, start, ten_mebibytes

    from hyper import HTTP20Connection
    from hyper.tls import init_context

    recorder = Recorder()
    with tempfile.TemporaryDirectory() as directory:
        ca = make_authority(Path(directory))
        with (
            start("node", tmp_path=Path(directory), ca=ca) as server,
            HTTP20Connection(
                "localhost",
                server.tls_port,
                True,
                ssl_context=init_context(ca.ca_file),
                timeout=30,
                state_machine=recorder.machine,
            ) as conn,
        ):
            started = time.perf_counter()
            for _ in range(options.downloads):
                with conn.get_response(conn.request("GET", "/10mb")) as response:
                    assert len(response.read(ENOUGH)) == ENOUGH
            taken = time.perf_counter() - started
            whole = conn.get_response(conn.request("GET", "/10mb")).read()

    resets = recorder.of(RstStreamFrame)
    node = SERVERS["node"].find() or ""
    rows = {
        "downloads of 10 MiB cancelled": f"{options.downloads:,}",
        "seconds": f"{taken:.1f}",
        "connections used": len(recorder.connections),
        "RST_STREAM sent": f"{len(resets):,}",
        "streams reset": f"{len({reset.stream_id for reset in resets}):,}",
        "a whole download afterwards": "right" if whole == ten_mebibytes() else "WRONG",
    }
    print(f"{describe(version_of(node))}\n")
    for name, value in rows.items():
        print(f"{name:30} {value:>6}")


if __name__ == "__main__":
    main()
