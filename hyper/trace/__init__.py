"""What happened on the wire, frame by frame.

Give a :class:`Recorder` to a connection, and read what it has recorded, or save it::

    trace = Recorder()
    with HTTPConnection("https://http2bin.org", trace=trace) as conn:
        conn.request("GET", "/get")
        conn.get_response().read()
    trace.save("trace.html")

The modules, from the bottom to the top: ``record`` has the words, ``hpack`` reads the
representations of fields, ``http2`` and ``http1`` turn bytes into records, ``recorder``
joins them to connections, ``file`` writes and reads the four kinds of files, of which
``waterfall`` is the page for a browser.
"""

from .file import load, save
from .record import Field, Record, Table, Windows
from .recorder import Recorder

__all__ = ["Field", "Record", "Recorder", "Table", "Windows", "load", "save"]
