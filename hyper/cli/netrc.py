"""Users and passwords from a ``.netrc`` file, for ``--netrc``.

Only where the command line asks for it: a file that is read unasked sends a password to
whoever answers to a name. And only for the first server: a redirect to another one must
not get what the file has for that, or for all (CVE-2024-11053).
"""

from __future__ import annotations

import netrc
import os

from .content import CannotRead
from .items import UsageError


def credentials_for(host: str, path: str) -> bytes | None:
    """Return ``user:password`` for a host; None if the file has none.

    :param path: of the file. "": that of ``NETRC``, or ``.netrc`` at home, if there is
        one; that at home must be its owner's alone if it has a password.
    :raises CannotRead: if the file cannot be read.
    :raises UsageError: if it is no such file, or others may read it.
    """
    named = path or os.environ.get("NETRC", "")
    try:
        found = netrc.netrc(named or None).authenticators(host)
    except netrc.NetrcParseError as error:
        raise UsageError(f"{named or '.netrc'}: {error.msg}") from error
    except ValueError as error:
        raise UsageError(f"{named or '.netrc'} is no text") from error
    except OSError as error:
        if not named:
            return None
        raise CannotRead(error, repr(named)) from error
    if found is None:
        return None
    user, _, password = found
    return f"{user or ''}:{password or ''}".encode()
