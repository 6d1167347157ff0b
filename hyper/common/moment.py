"""The moments in the life of a request, for those who want to be told of each.

A request passes through several hands, and some of what they do nobody sees from
outside: whether it connects, when its turn to send has come, that it is sent a second
time. Each of them tells at once, in the thread of the request and without a lock, so
that whoever is told may do anything.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TypeAlias

from .protocol import HTTPVersion


class Moment(enum.Enum):
    """What happens next to a request, or has just been done.

    A request connects, and tells of it, only if it finds no connection and nobody else
    makes one. What fails is an exception of the call, not a moment.
    """

    #: A name is resolved and connected to: a server's, a proxy's, a unix socket's.
    connecting = "connecting"
    connected = "connected"
    #: TLS is agreed on with the server.
    securing = "securing"
    secured = "secured"
    #: The request queues for its turn on a connection that is there.
    sending = "sending"
    #: The header section is on its way.
    head_sent = "head sent"
    #: All of the request is, as far as the server wants it. The response is waited for.
    body_sent = "body sent"
    #: The server has not acted on the request, and it is to be sent once more.
    again = "again"


#: What is told a moment, and the version of HTTP that is spoken, if that is known.
Watch: TypeAlias = Callable[[Moment, "HTTPVersion | None"], None]
