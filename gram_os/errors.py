"""All errors that a caller can meet, in one tree. The text of an error names what is wrong, and the cure.

    GramError
    ├── InputError               what the user gave cannot be used
    │   ├── FileFormatError      a file, with the line and the field
    │   └── SettingsError        an unknown or wrong setting
    ├── MissingExtraError        an optional dependency is not installed
    ├── BundleError              a model folder is missing, damaged or of another format
    ├── QueryRefusedError        the generator takes no more queries for now
    ├── ClusterError             OpenSearch refuses, or does not answer
    │   ├── ClusterUnreachableError
    │   ├── ClusterBusyError     429, 502, 503, 504: not now
    │   ├── ClusterGarbledError  an answer that no OpenSearch gives, or half of one
    │   ├── ClusterAuthError     wrong credentials, missing rights, untrusted certificate
    │   ├── IndexMissingError
    │   └── IndexUnfitError      the index is there, but its mapping or state does not serve
    │       └── LabelGoneError   the label was taken out of the index
    ├── TooManyRefusedError      more documents were refused than the user allows
    └── NodeError                the embedded node
        ├── JavaMissingError
        ├── PortInUseError
        └── JarCacheError        the jars could not be resolved or verified

`exit_code` is what the command line returns: 2 for bad usage or input, 1 for everything else.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class GramError(Exception):
    """Root of the tree: catching it catches every error that gram_os raises on purpose.

    >>> try:
    ...     raise SettingsError("unknown setting 'widht'; did you mean 'width'?")
    ... except GramError as error:
    ...     print(f"exit code {error.exit_code}: {error}")
    exit code 2: unknown setting 'widht'; did you mean 'width'?
    """

    exit_code: ClassVar[int] = 1


class InputError(GramError):
    """What the user gave cannot be used."""

    exit_code: ClassVar[int] = 2


class FileFormatError(InputError):
    """A file is not what it should be.

    line: counts from 1; None where the error is about the whole file.
    """

    def __init__(self, path: Path | str, message: str, *, line: int | None = None, field: str | None = None):
        self.path, self.line, self.field = Path(path), line, field
        place = f"{path}" + (f", line {line}" if line is not None else "")
        super().__init__(f"{place}" + (f", field '{field}'" if field else "") + f": {message}")


class SettingsError(InputError):
    """A setting is unknown, or its value cannot be used."""


class MissingExtraError(GramError):
    """An optional dependency is not installed."""

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, extra: str):
        self.extra = extra
        super().__init__(f"{what} is not installed; run: pip install 'gram-os[{extra}]'")


class BundleError(GramError):
    """A model folder is missing, damaged or of another format."""

    exit_code: ClassVar[int] = 2


class QueryRefusedError(GramError):
    """The generator takes no query now, because its queue is full or it is closed. The same query may pass later."""


class ClusterError(GramError):
    """OpenSearch refuses, or does not answer."""


class ClusterUnreachableError(ClusterError):
    """No answer at the address."""


class ClusterBusyError(ClusterError):
    """The cluster refuses work for now (429, 503, a block of the whole cluster). The same request may pass later."""


class ClusterGarbledError(ClusterError):
    """An answer that no OpenSearch gives: half of one, a proxy's page, another service."""


class ClusterAuthError(ClusterError):
    """Wrong credentials, missing rights or an untrusted certificate."""


class IndexMissingError(ClusterError):
    """The index does not exist."""

    exit_code: ClassVar[int] = 2


class IndexUnfitError(ClusterError):
    """The index is there, but its mapping or state does not serve."""

    exit_code: ClassVar[int] = 2


class LabelGoneError(IndexUnfitError):
    """The label was taken out of the index."""


class TooManyRefusedError(GramError):
    """More documents were refused than the user allows. What was done until then stays."""


class NodeError(GramError):
    """The embedded node."""


class JavaMissingError(NodeError):
    """No Java that OpenSearch runs on."""


class PortInUseError(NodeError):
    """The port for the node is taken."""


class JarCacheError(NodeError):
    """The jars could not be resolved or verified."""
