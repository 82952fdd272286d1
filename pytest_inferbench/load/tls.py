"""TLS over bytes: the kernel still stamps the ciphertext as it comes in."""

from __future__ import annotations

import ssl

from pytest_inferbench.errors import LoadError

_READ_SIZE = 65536
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


class TlsChannel:
    """One TLS session between two memory buffers; the caller moves the bytes."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.ready = False

    def handshake(self, received: bytes = b"") -> bytes:
        """
        Go on with the handshake; returns what to send, and sets ``ready`` at its end.

        Raises:
            ssl.SSLError: the other side is not trusted, or does not speak TLS.
        """
        self._incoming.write(received)
        try:
            self._session.do_handshake()
            self.ready = True
        except ssl.SSLWantReadError:
            pass
        return self._outgoing.read()

    def encrypt(self, data: bytes) -> bytes:
        """The ciphertext of ``data``."""
        self._session.write(data)
        return self._outgoing.read()

    def decrypt(self, received: bytes) -> bytes:
        """
        The plaintext that ``received`` completes; may be empty.

        Raises:
            ssl.SSLError: the ciphertext is damaged.
        """
        self._incoming.write(received)
        pieces = []
        try:
            while piece := self._session.read(_READ_SIZE):
                pieces.append(piece)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return b"".join(pieces)


def client_context(ca_file: str | None) -> ssl.SSLContext:
    """
    A context that verifies the server, against the system's authorities or a file of its own.

    Raises:
        LoadError: the file is not there, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise LoadError(f"{ca_file} is not a file of certificates that can be read (PEM): {error.strerror or error}") from error


def failure_words(error: ssl.SSLError) -> str:
    """What went wrong between the two sides, and what to do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted ({error.verify_message}); give its authority's certificate as ca_file"
    if error.reason in _NO_TLS:
        return "the server does not speak TLS; is its URL to begin with http:// ?"
    return (error.reason or str(error)).replace("_", " ").lower()
