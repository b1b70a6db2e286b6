"""The file system behind an address: made from options and secrets, and called with a time limit."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote, unquote

from fsspec.archive import AbstractArchiveFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import known_implementations

from fmf.config.connectors import FsspecConnectorConfig
from fmf.connectors.base import Keys
from fmf.connectors.fsspec.failures import told
from fmf.errors import ConnectorError
from fmf_core.errors import Code, FrameworkError
from fmf_core.redact import redact
from fmf_core.threads import ThreadPool

T = TypeVar("T")
MOST_CALLS: Final = 64
"""How many calls of one file system may be under way at once."""
_ANYWHERE: Final = frozenset(
    {"asynchronous", "listings_expiry_time", "loop", "max_paths", "skip_instance_cache", "use_listings_cache"}
)
"""Options that every file system takes."""


class Entry(NamedTuple):
    """What a folder's listing says of one thing."""

    name: str
    """Its last part, as people read it."""
    kind: str
    """`file`, `directory`, or something else that is neither."""
    facts: dict[str, Any]


class FileSystem:
    """A folder of a file system; may be used by many threads.

    Args:
        config: the entry of `connectors:`.
        secrets: where the values of `option_secrets` are found.

    Raises:
        ConnectorError: a package is missing, the file system does not take the options, or it cannot be reached.
    """

    def __init__(self, config: FsspecConnectorConfig, secrets: Keys) -> None:
        self._name = config.name
        self._timeout_s = config.timeout_s
        self._pool = ThreadPool(MOST_CALLS, f"fsspec-{config.name}")
        self._system, root = _made(config, secrets)
        self._root = str(root).rstrip("/")
        self.is_web = config.url.startswith(("http://", "https://"))
        """Whether its folders are pages of links, and names are written so that they survive in an address."""

    def path(self, resource_id: str) -> str:
        """Where the resource is.

        Raises:
            ConnectorError: a link of the local file system leads out of the folder.
        """
        path = f"{self._root}/{quote(resource_id) if self.is_web else resource_id}" if resource_id else self._root
        if isinstance(self._system, AbstractArchiveFileSystem):
            return path.lstrip("/")  # an archive has no folder above all
        if isinstance(self._system, LocalFileSystem):
            root = os.path.realpath(self._root)
            if os.path.commonpath([root, os.path.realpath(path)]) != root:
                raise ConnectorError(
                    f"{resource_id!r} leaves the root of connector {self._name!r}",
                    op="fsspec.open",
                    code=Code.REFUSED,
                    hint=f"take ids as `fmf connect ls {self._name}` shows them; links that lead outside are not read",
                )
        return path

    def entries(self, folder_id: str, what: str) -> tuple[list[Entry], int]:
        """What is in a folder, and how many things were told that are not in it."""
        folder = self.path(folder_id)
        found = self.call("fsspec.list", what, lambda: self._system.ls(folder or "/", detail=True))
        # Otherwise the file system keeps all listings, and goes on telling them.
        self._system.invalidate_cache(folder)
        names = [(str(facts["name"]).rstrip("/"), facts) for facts in found]
        inside = [
            Entry(self._read(name.rpartition("/")[2]), _kind(facts), facts)
            for name, facts in names
            if name.rpartition("/")[0].lstrip("/") == folder.strip("/") and not (self.is_web and "?" in name)
        ]
        return inside, len(names) - len(inside)

    def facts(self, path: str, op: str, what: str) -> dict[str, Any]:
        """What is known of a file now."""
        return dict(self.call(op, what, lambda: self._system.info(path)))

    def open(self, path: str, what: str) -> Any:
        """The file, opened for reading."""
        if self.is_web:
            return self.call("fsspec.open", what, lambda: self._web_file(path))
        return self.call("fsspec.open", what, lambda: self._system.open(path, "rb"))

    def open_again(self, path: str, start: int, before: Any, what: str) -> tuple[Any, int]:
        """The file from a byte on, and how many bytes come before that one nevertheless.

        Args:
            path: where it is.
            start: the byte.
            before: what `open` gave.
            what: what is being done, for messages.
        """
        if self.is_web:
            file = self.call("fsspec.open", what, lambda: self._web_file(path, start=start, before=before))
            return file, file.skipped
        file = self.open(path, what)
        self.call("fsspec.read", what, lambda: file.seek(start))
        return file, 0

    def _web_file(self, path: str, **more: Any) -> Any:
        from fmf.connectors.fsspec.web import WebFile  # its package is there only if the web is read

        return WebFile(self._system, path, self._timeout_s, **more)

    def call(self, op: str, what: str, call: Callable[[], T]) -> T:
        """What `call` returns, if it does within the time limit.

        Raises:
            ConnectorError: it failed, or takes too long.
        """
        answer: Future[T] = Future()

        def work() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
                answer.set_exception(error)

        self._pool.submit(work)
        try:
            return answer.result(self._timeout_s)
        except FrameworkError:
            raise
        except Exception as error:
            late = None if answer.done() else TimeoutError(f"no answer within {self._timeout_s:g} s")
            raise told(late or error, op, what) from error

    def _read(self, name: str) -> str:
        return unquote(name) if self.is_web else name


def _kind(facts: dict[str, Any]) -> str:
    return "link" if facts.get("islink") else str(facts.get("type", "file"))


def _made(config: FsspecConnectorConfig, secrets: Keys) -> tuple[Any, str]:
    protocol = config.url.partition("://")[0]
    hidden = {option: secrets.resolve(name).get_secret_value() for option, name in config.option_secrets.items()}
    try:
        # Not from the cache that all of the process shares: it would keep the secrets.
        system, root = url_to_fs(config.url, skip_instance_cache=True, **config.options, **hidden)
    except ImportError as error:
        raise _missing(config.name, protocol, error) from error
    except FrameworkError:
        raise
    except Exception as error:
        if isinstance(error, ValueError) and "Protocol not known" in str(error):
            raise ConnectorError(
                f"connector {config.name!r}: fsspec knows no protocol {protocol!r}",
                op="fsspec.connect",
                code=Code.INVALID,
                hint=f"known: {', '.join(sorted(known_implementations))}",
            ) from error
        if isinstance(error, OSError | EOFError):
            raise told(error, "fsspec.connect", f"connecting to {config.url}") from error
        given = ", ".join(sorted({*config.options, *config.option_secrets})) or "none"
        raise ConnectorError(
            f"connector {config.name!r}: {protocol} cannot be opened with the options given ({given}): "
            f"{type(error).__name__}: {redact(str(error))}",
            op="fsspec.connect",
            code=Code.INVALID,
            hint=f"see the options of {_package_of(protocol)} in its own documentation",
        ) from error
    _check_taken(config, system)
    return system, str(root)


def _check_taken(config: FsspecConnectorConfig, system: Any) -> None:
    """Refuse options of which local files and archives take no notice; other file systems refuse them themselves."""
    if not isinstance(system, LocalFileSystem | AbstractArchiveFileSystem) or "::" in config.url:
        return
    taken = {
        name
        for kind in type(system).__mro__
        if "__init__" in vars(kind)
        for name, parameter in inspect.signature(vars(kind)["__init__"]).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name != "self"
    }
    if unknown := sorted({*config.options, *config.option_secrets} - taken - _ANYWHERE):
        raise ConnectorError(
            f"connector {config.name!r}: {config.url.partition('://')[0]} takes no option {unknown[0]!r}",
            op="fsspec.connect",
            code=Code.INVALID,
            hint=f"it takes: {', '.join(sorted(taken | _ANYWHERE))}",
        )


def _missing(connector: str, protocol: str, error: ImportError) -> ConnectorError:
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    package = cause.name.partition(".")[0] if cause.name else _package_of(protocol)
    return ConnectorError(
        f"connector {connector!r}: {protocol}:// needs the package {package!r}, which is not installed: {error}",
        op="fsspec.connect",
        code=Code.UNSUPPORTED,
        hint=f"pip install {package}",
        fields={"package": package},
    )


def _package_of(protocol: str) -> str:
    """The package that has the file system of a protocol."""
    return str(known_implementations.get(protocol, {}).get("class", "fsspec")).partition(".")[0]
