"""The error codes of HTTP/2 (RFC 9113 section 7) in the form that hyper 0.7 had.

Each is a dict with a ``Name``, a ``Code`` in hexadecimal and a ``Description``. In new
code use :class:`h2.errors.ErrorCodes`; what hyper raises says the name by itself.
"""

from __future__ import annotations

from h2.errors import ErrorCodes

_DESCRIPTIONS = {
    ErrorCodes.NO_ERROR: "Nothing went wrong",
    ErrorCodes.PROTOCOL_ERROR: "The peer broke the rules of HTTP/2",
    ErrorCodes.INTERNAL_ERROR: "Something failed inside",
    ErrorCodes.FLOW_CONTROL_ERROR: "The peer sent more than the window allows",
    ErrorCodes.SETTINGS_TIMEOUT: "The peer has not acknowledged settings in time",
    ErrorCodes.STREAM_CLOSED: "A frame came for a stream that was closed",
    ErrorCodes.FRAME_SIZE_ERROR: "A frame had a size that it may not have",
    ErrorCodes.REFUSED_STREAM: "Nothing was done with the stream",
    ErrorCodes.CANCEL: "The stream is not needed any more",
    ErrorCodes.COMPRESSION_ERROR: "The state of the header compression is lost",
    ErrorCodes.CONNECT_ERROR: "The connection behind a CONNECT broke",
    ErrorCodes.ENHANCE_YOUR_CALM: "The peer asks for too much",
    ErrorCodes.INADEQUATE_SECURITY: "TLS is not as secure as HTTP/2 demands",
    ErrorCodes.HTTP_1_1_REQUIRED: "HTTP/1.1 is needed for this",
}

#: All of them, in the order of their codes, which are 0 to 13.
H2_ERRORS = [
    {"Name": code.name, "Code": hex(code), "Description": description}
    for code, description in _DESCRIPTIONS.items()
]

(
    NO_ERROR,
    PROTOCOL_ERROR,
    INTERNAL_ERROR,
    FLOW_CONTROL_ERROR,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
    FRAME_SIZE_ERROR,
    REFUSED_STREAM,
    CANCEL,
    COMPRESSION_ERROR,
    CONNECT_ERROR,
    ENHANCE_YOUR_CALM,
    INADEQUATE_SECURITY,
    HTTP_1_1_REQUIRED,
) = H2_ERRORS


def get_data(error_code: int) -> tuple[str, str, str]:
    """Return name, code in hexadecimal, and description of an error code.

    :raises ValueError: if there is no such code.
    """
    if error_code not in range(len(H2_ERRORS)):
        raise ValueError(f"HTTP/2 has no error code {error_code!r}")
    error = H2_ERRORS[error_code]
    return error["Name"], error["Code"], error["Description"]
