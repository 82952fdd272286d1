"""A registry with one image in it: as much of the OCI distribution specification as a container engine asks for."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_UNKNOWN = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no tiny of that name"}]}'


@dataclass
class Registry:
    """What it holds by path, and what it was asked for."""

    port: int
    digest: str
    content: dict[str, tuple[str, bytes]]
    asked: list[str] = field(default_factory=list)

    @property
    def repository(self) -> str:
        """Where the image is; engines speak plain HTTP to registries on 127.0.0.1."""
        return f"127.0.0.1:{self.port}/tiny"

    @property
    def image(self) -> str:
        """The image by its tag."""
        return f"{self.repository}:1"


@contextmanager
def serving() -> Iterator[Registry]:
    """Serve it for the length of a block."""
    digest, content = _image()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        registry = Registry(port=server.server_address[1], digest=digest, content=content)
        server.registry = registry  # type: ignore[attr-defined]  # the handler knows its server only
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """Answer with the content."""
        self._answer(whole=True)

    def do_HEAD(self) -> None:
        """Answer with what the content is like."""
        self._answer(whole=False)

    def _answer(self, *, whole: bool) -> None:
        registry: Registry = self.server.registry  # type: ignore[attr-defined]  # see above
        registry.asked.append(self.path)
        kind, data = registry.content.get(self.path, ("application/json", _UNKNOWN))
        self.send_response(200 if self.path in registry.content else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Content-Digest", _digest(data))
        self.end_headers()
        if whole:
            self.wfile.write(data)


def _image() -> tuple[str, dict[str, tuple[str, bytes]]]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        file = tarfile.TarInfo("hello.txt")
        file.size = 2_000_000
        archive.addfile(file, io.BytesIO(bytes(file.size)))
    plain = buffer.getvalue()
    layer = gzip.compress(plain, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/no/such/program"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(plain)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(config), "digest": _digest(config)},
            "layers": [{"mediaType": _LAYER, "size": len(layer), "digest": _digest(layer)}],
        }
    ).encode()
    base, digest = "/v2/tiny", _digest(manifest)
    return digest, {
        "/v2/": ("application/json", b"{}"),
        f"{base}/manifests/1": (_MANIFEST, manifest),
        f"{base}/manifests/{digest}": (_MANIFEST, manifest),
        f"{base}/blobs/{_digest(config)}": (_CONFIG, config),
        f"{base}/blobs/{_digest(layer)}": (_LAYER, layer),
    }


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
