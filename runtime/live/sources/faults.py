"""The reasons why a source has no picture, told apart, in words for a person."""

from __future__ import annotations

import errno
from typing import Any

from edgeseg.errors import BadInputError
from edgeseg.optional import require
from edgeseg.runtime.live.credentials import without_credentials


class SourceLostError(BadInputError):
    """A live source could not be opened, or not again within its bounds."""


class SourceFault(Exception):  # noqa: N818 - it is mended by opening the source again, and seldom becomes an error
    """One connection failed or ended.

    Args:
        reason: What happened, for a person.
        is_permanent: True if trying again can hardly help, as long as no picture ever came.
    """

    def __init__(self, reason: object, is_permanent: bool = False) -> None:
        super().__init__(without_credentials(reason))
        self.is_permanent = is_permanent

    @property
    def reason(self) -> str:
        """The reason, without passwords."""
        return str(self.args[0])


class StreamEnded(SourceFault):
    """The connection came to its end in order; for a live source that is a fault, too."""

    def __init__(self) -> None:
        super().__init__("the stream ended")


_OF_ERRNO = {
    errno.ECONNREFUSED: "refused: nothing listens there",
    errno.ECONNRESET: "the server broke the connection off",
    errno.EPIPE: "the server broke the connection off",
    errno.EHOSTUNREACH: "the host cannot be reached",
    errno.ENETUNREACH: "the network cannot be reached",
    errno.ETIMEDOUT: "no answer in time",
    errno.EBUSY: "the device is in use by another program",
    errno.ENODEV: "the device is gone",
    errno.ENXIO: "the device is gone",
    errno.EIO: "the device or the connection failed (input/output error)",
}
_PERMANENT_ERRNO = {
    errno.ENOENT: "there is no such device or file",
    errno.EACCES: "this user may not read it",
    errno.EINVAL: "it does not take these settings (size or rate)",
    errno.ENOTTY: "it is no video device",
}
_PERMANENT_CLASS = {
    "HTTPUnauthorizedError": "the server wants a user and a password, or others (401)",
    "HTTPForbiddenError": "the server forbids it (403)",
    "HTTPNotFoundError": "the server has no stream of this name (404)",
    "HTTPBadRequestError": "the server does not understand the request (400)",
    "ProtocolNotFoundError": "no protocol of this name",
    "DecoderNotFoundError": "no decoder for its codec",
    "DemuxerNotFoundError": "no reader for its format",
    "OptionNotFoundError": "an option is unknown",
}
_OF_CLASS = {
    "HTTPOtherClientError": "the server refuses the request (4xx)",
    "HTTPServerError": "the server fails (5xx)",
    "InvalidDataError": "what comes is no video that can be read",
    "EOFError": "the stream ended",
}


def fault_of(error: BaseException) -> SourceFault:
    """The fault behind an exception of PyAV or the system."""
    av_error: Any = require("av.error")
    if isinstance(error, av_error.ExitError):  # PyAV's own timeout
        return SourceFault("no data in time")
    kind, number = type(error).__name__, getattr(error, "errno", None)
    for table, is_permanent in ((_PERMANENT_CLASS, True), (_OF_CLASS, False)):
        if kind in table:
            return SourceFault(table[kind], is_permanent)
    if number in _PERMANENT_ERRNO:
        return SourceFault(_PERMANENT_ERRNO[number], is_permanent=True)
    if number in _OF_ERRNO:
        return SourceFault(_OF_ERRNO[number])
    return SourceFault(getattr(error, "strerror", None) or error)
