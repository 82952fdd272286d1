"""
Where runs are uploaded to: a bucket or a folder that fsspec knows.

Rule: the only module that knows fsspec. What it says goes out in words without secrets, what may pass is tried again with longer
and longer waits, and a file counts as sent where its content is known: by the store's own MD5, else by reading it back.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

from pytest_inferbench.errors import ConfigError, RecordError
from pytest_inferbench.records.artifact_manifest import CHUNK_BYTES, Entry, chunks_of
from pytest_inferbench.records.files import writing
from pytest_inferbench.redaction import redact_text, redact_url

RETRIES_S: Final = (0.5, 2.0, 5.0)
"""How long to wait before each further attempt."""
EXTRAS: Final = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
"""Which extra of this package brings what a URL's protocol needs."""
_CREDENTIALS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "ClientAuthenticationError"}
)
_FINAL_ERRORS = (
    PermissionError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    FileExistsError,
    NotImplementedError,
    ImportError,
    TypeError,
    ValueError,
)
_FINAL_NUMBERS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG, errno.EINVAL})
_MD5 = re.compile(r"[0-9a-f]{32}")
_WORDS_MAX = 400
_T = TypeVar("_T")


class NotThere(RecordError):
    """Where something was looked for there is nothing, as far as the store says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file as the store lists it; ``md5`` is hexadecimal, and None where the store does not say it."""

    size_bytes: int
    md5: str | None


class Store:
    """
    The files under one URL, by paths relative to it.

    Every method raises `RecordError`, which says what the store said, and `NotThere` where nothing was found.

    Args:
        url: such as ``s3://bucket/folder``, ``gs://...``, ``az://...``, ``file:///...``, or a folder's path. Credentials come
            from the environment, as each library finds them.
        sleep: waits between attempts.

    Raises:
        ConfigError: the URL holds credentials, or nothing installed knows its protocol.
    """

    def __init__(self, url: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        if redact_url(url) != url:
            raise ConfigError(
                f"{redact_url(url)} holds credentials, which would be seen by everybody who sees the command; take them out, and"
                " give them in the environment (see docs/artifacts.md)"
            )
        self.url = url.rstrip("/")
        self._sleep = sleep
        self._files, self._root = _opened(self.url)
        self._local = "file" in _protocols(self._files)

    def below(self, name: str) -> Store:
        """The files under one name of this URL."""
        return Store(f"{self.url}/{name}", sleep=self._sleep)

    def names_with(self, name: str) -> list[str]:
        """The folders that hold a file of this name, sorted."""
        found = self._asked(lambda: self._files.glob(f"{self._root}/*/{name}"))
        return sorted(str(path).rstrip("/").split("/")[-2] for path in found)

    def listing(self) -> dict[str, Found]:
        """Every file below."""
        found: Mapping[str, Any] = self._asked(lambda: self._files.find(self._root, detail=True)) or {}
        prefix = self._root.rstrip("/") + "/"
        return {str(path).removeprefix(prefix): _found(info) for path, info in found.items() if str(path).startswith(prefix)}

    def send(self, local: Path, path: str) -> None:
        """Put a file, over what was there; a reader may see a part of it meanwhile."""
        self._asked(lambda: self._files.put_file(str(local), self._at(path)))

    def send_whole(self, data: bytes, path: str) -> None:
        """Put a small file so that no reader ever sees a part of it."""
        # An object of a store appears when it is whole; a file of a file system gets its name then.
        temporary = f"{path}.part" if self._local else path
        self._asked(lambda: self._files.pipe_file(self._at(temporary), data))
        if self._local:
            self._asked(lambda: self._files.mv(self._at(temporary), self._at(path)))

    def remove(self, path: str) -> None:
        """Take a file away."""
        self._asked(lambda: self._files.rm_file(self._at(path)))

    def read(self, path: str, *, bytes_max: int) -> bytes:
        """The content of a small file."""
        # Not by opening it, for which S3 is asked with HEAD: an answer to that has no words about what is wrong.
        data = bytes(self._asked(lambda: self._files.cat_file(self._at(path), start=0, end=bytes_max + 1)))
        if len(data) > bytes_max:
            raise self._too_long(path, bytes_max)
        return data

    def fetch(self, path: str, local: Path, *, bytes_max: int) -> tuple[int, str]:
        """Write a file's content to ``local``: its size in bytes and SHA-256, of at most ``bytes_max``."""
        return self._asked(lambda: _copied(self._chunks(path, bytes_max), local))

    def holds(self, entry: Entry, found: Found, local: Path) -> bool:
        """Whether what is listed as ``found`` is this file, whose content lies in ``local`` too."""
        if found.size_bytes != entry.size_bytes:
            return False
        # An MD5 that differs proves nothing: with some encryptions the store's tag is of something else.
        if found.md5 is not None and found.md5 == _md5(local):
            return True
        return self._asked(lambda: _sha256(self._chunks(entry.path, entry.size_bytes))) == entry.sha256

    def _at(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}"

    def _chunks(self, path: str, bytes_max: int) -> Iterator[bytes]:
        total = 0
        with self._files.open(self._at(path), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                total += len(chunk)
                if total > bytes_max:
                    raise self._too_long(path, bytes_max)
                yield chunk

    def _too_long(self, path: str, bytes_max: int) -> RecordError:
        return RecordError(f"{self.url}/{path} is longer than the {bytes_max} bytes that belong there")

    def _asked(self, ask: Callable[[], _T]) -> _T:
        for wait_s in (*RETRIES_S, None):
            try:
                return ask()
            except RecordError:
                raise
            except Exception as error:
                # Each library behind fsspec raises its own, and all become words here.
                if wait_s is None or _final(error):
                    raise self._error(error) from error
                self._sleep(wait_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _error(self, error: Exception) -> RecordError:
        words = redact_text(" ".join(str(error).split())[:_WORDS_MAX]) or type(error).__name__
        if isinstance(error, FileNotFoundError):
            return NotThere(f"{self.url} or something below it is not there: {words}; is the bucket or the folder made?")
        if isinstance(error, PermissionError) or type(error).__name__ in _CREDENTIALS:
            return RecordError(f"{self.url} refused: {words}; check the credentials in the environment, and what they allow")
        if getattr(error, "errno", None) in _FINAL_NUMBERS or isinstance(error, _FINAL_ERRORS):
            return RecordError(f"{self.url}: {words}")
        return RecordError(
            f"{self.url} did not answer as it should, {len(RETRIES_S) + 1} times over: {type(error).__name__}: {words};"
            " is the network up, and is this the right address? What went over is kept, and the same again goes on with it"
        )


def _opened(url: str) -> tuple[Any, str]:
    protocol = url.partition("://")[0] if "://" in url else "file"
    # A listing that fsspec keeps, or an object that another thread uses, would hide what is there now.
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if protocol in {"file", "local"}:
        options["auto_mkdir"] = True
    if EXTRAS.get(protocol) == "s3":
        # s3fs tries again itself; twice over, a wrong address would take minutes to be said.
        options["config_kwargs"] = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10}
    try:
        files, root = import_module("fsspec.core").url_to_fs(url, **options)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        how = f"pip install 'pytest-inferbench[{extra}]'" if extra else redact_text(str(error))
        raise ConfigError(f"{url} needs a library that is not installed: {how}") from error
    except ValueError as error:
        known = "s3://, gs://, az://, file:// or the path of a folder"
        raise ConfigError(f"{url} is no address that files can be sent to ({redact_text(str(error))}); use {known}") from error
    return files, str(root)


def _protocols(files: Any) -> tuple[str, ...]:
    protocol = files.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _found(info: Mapping[str, Any]) -> Found:
    return Found(size_bytes=int(info.get("size") or 0), md5=_told_md5(info))


def _told_md5(info: Mapping[str, Any]) -> str | None:
    """The MD5 that S3 has as a tag, Google as ``md5Hash`` and Azure among the settings of content; None where there is none."""
    tag = str(info.get("ETag") or "").strip('"')
    if _MD5.fullmatch(tag):
        return tag
    settings = info.get("content_settings")
    coded = info.get("md5Hash") or (settings.get("content_md5") if isinstance(settings, Mapping) else None)
    if isinstance(coded, str):
        try:
            coded = base64.b64decode(coded)
        except ValueError:
            return None
    return bytes(coded).hex() if isinstance(coded, bytes | bytearray) and len(coded) == 16 else None


def _md5(local: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks_of(local):
        digest.update(chunk)
    return digest.hexdigest()


def _sha256(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _copied(chunks: Iterator[bytes], local: Path) -> tuple[int, str]:
    digest, size_bytes = hashlib.sha256(), 0
    with local.open("wb") as file:
        for chunk in chunks:
            digest.update(chunk)
            size_bytes += len(chunk)
            # A full disk here is no fault of the store.
            with writing(local):
                file.write(chunk)
    return size_bytes, digest.hexdigest()


def _final(error: Exception) -> bool:
    """Whether trying again would come to the same."""
    numbered = getattr(error, "errno", None) in _FINAL_NUMBERS
    return numbered or isinstance(error, _FINAL_ERRORS) or type(error).__name__ in _CREDENTIALS
