"""
Secrets are taken out here, and nowhere else.

Rule: whatever is written, shown or logged passes one of these functions first. They go by name (``--api-key X``,
``HF_TOKEN=X``, ``?sig=X``) and by the known shapes of keys (``hf_...``, ``sk-...``), they are idempotent, and when in doubt
they hide. A reference such as ``${HF_TOKEN}`` is no secret: it is kept, since it says how to do the same again.

Standard library only, so that every stage may import it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from typing import NoReturn
from urllib.parse import unquote_plus

MASK = "REDACTED"

# fmt: off
_SECRET_WORDS = frozenset({
    "key", "keys", "token", "tokens", "secret", "secrets", "password", "passwords", "passwd", "passphrase", "pwd",
    "credential", "credentials", "bearer", "authorization", "auth", "signature", "sig", "cookie",
})
_SECRET_ENDINGS = ("apikey", "apikeys", "accesskey", "token", "secret", "password", "passwd", "passphrase")
# Names that end so say where a secret lies, or how something about it is spelled; they do not hold it.
_HARMLESS_LAST_WORDS = frozenset({"file", "path", "dir", "env", "dtype", "type"})
# "token" is also a unit and a part of every vocabulary: --pad-token-id, add_bos_token, --max-tokens.
_VOCABULARY_WORDS = frozenset({
    "bos", "eos", "pad", "unk", "sep", "cls", "mask", "eot", "eom", "image", "audio", "draft", "speculative", "max", "min",
    "num", "new", "batched", "per", "skip", "special", "stop", "input", "output", "prompt",
})
# fmt: on
_SHAPES = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}"
    r"|sk-[A-Za-z0-9_-]{16,}"
    r"|nvapi-[A-Za-z0-9_-]{16,}"
    r"|gh[oprsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abprs]-[\w-]{10,}"
    r"|AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|AIza[\w-]{30,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s\"'<>]*@")
_QUERY = re.compile(r"([?&#;])([^=&#;?\s\"']+)=([^&#;\s\"']*)")
# "Bearer authentication" is English; what carries a digit or is long is a key.
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+((?=[A-Za-z._~+/=-]*\d)[\w.~+/=-]{6,}|[\w.~+/=-]{20,})", re.IGNORECASE)
_HEADER = re.compile(
    r"\b((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?)((?:(?:Bearer|Basic|Token)\s+)?)([^\s\"',;]+)", re.IGNORECASE
)
_FLAG = re.compile(r"(?<![\w-])(--?[A-Za-z][\w.-]*)(=|\s+)(\"[^\"]*\"|'[^']*'|[^\s\"']+)")
_ASSIGNMENT = re.compile(r"([A-Za-z_][\w.-]*)([\"']?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s\"',;&}\])]+)")
_REFERENCE = re.compile(r"\$\{?\w+\}?")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class Secret:
    """
    A text that is never shown: not by ``str``, ``repr``, formatting, JSON or pickle.

    Deliberately no ``str``: the JSON encoders write a subclass of ``str`` as it is. `reveal` is the only way to the value.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, _spec: str, /) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled; pass the name of the environment variable that holds it")


def is_secret_name(name: str, value: str = "") -> bool:
    """
    Whether something of this name holds a secret: a flag, an environment variable, a query parameter, a JSON key.

    ``value`` settles names that may be a count: ``--tokens 100`` holds none.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _HARMLESS_LAST_WORDS:
        return False
    if any(_secret_word(word) for word in words if word not in {"token", "tokens"}):
        return True
    if not _VOCABULARY_WORDS.isdisjoint(words):
        return False
    return "token" in words or ("tokens" in words and not value.strip().isdigit())


def _secret_word(word: str) -> bool:
    return word in _SECRET_WORDS or word.endswith(_SECRET_ENDINGS)


def redact_text(text: str) -> str:
    """Free text (an error, a log line, a shell command) with everything that looks like a secret replaced by `MASK`."""
    text = redact_url(text)
    text = _HEADER.sub(lambda found: f"{found[1]}{found[2]}{MASK}", text)
    text = _SCHEME.sub(lambda found: f"{found[1]} {MASK}", text)
    text = _FLAG.sub(_masked_flag, text)
    return _ASSIGNMENT.sub(_masked_value, text)


def _masked_flag(found: re.Match[str]) -> str:
    # A flag without a value is followed by the next flag, which is no secret.
    return found[0] if found[3].startswith("-") else _masked_value(found)


def _masked_value(found: re.Match[str]) -> str:
    name, between, value = found[1], found[2], found[3]
    quote = value[0] if value[0] in "\"'" and len(value) > 1 else ""
    inner = value[1:-1] if quote else value
    # "Authorization: Bearer REDACTED" has been dealt with; "token: Bearer" is only its first word.
    done = not inner or _REFERENCE.fullmatch(inner) or inner.lower() in {"bearer", "basic", "token", "null", "none"}
    if done or not is_secret_name(name, inner):
        return found[0]
    return f"{name}{between}{quote}{MASK}{quote}"


def redact_url(url: str) -> str:
    """A URL (or text with URLs in it) without user names, passwords, and secret query parameters."""
    url = _USERINFO.sub(lambda found: f"{found[1]}{MASK}@", url)
    url = _QUERY.sub(_masked_query, url)
    return _SHAPES.sub(MASK, url)


def _masked_query(found: re.Match[str]) -> str:
    start, name, value = found[1], found[2], found[3]
    if not value or not is_secret_name(unquote_plus(name), value):
        return found[0]
    return f"{start}{name}={MASK}"


def redact_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """
    A command line that can be shown; as many parts as before.

    Hides the value of ``--api-key X`` and ``--api-key=X`` (any flag with a secret's name), of ``NAME=X``, of headers, and
    credentials in URLs.
    """
    shown: list[str] = []
    flag: str | None = None
    for part in argv:
        if flag is not None and not part.startswith("--"):
            shown.append(_masked_argument(flag, part))
        else:
            shown.append(_redacted_part(part))
        flag = part if part.startswith("-") and "=" not in part else None
    return tuple(shown)


def _masked_argument(flag: str, value: str) -> str:
    if value and is_secret_name(flag, value) and not _REFERENCE.fullmatch(value):
        return MASK
    return _redacted_part(value)


def _redacted_part(part: str) -> str:
    name, equals, value = part.partition("=")
    if equals and value and re.fullmatch(r"-{0,2}[A-Za-z_][\w.-]*", name):
        if is_secret_name(name, value) and not _REFERENCE.fullmatch(value):
            return f"{name}={MASK}"
        return f"{name}={redact_text(value)}"
    return redact_text(part)


def redact_env(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Environment variables that can be shown: the value of every secret name is `MASK`, references are kept."""
    return tuple((name, _masked_argument(name, value)) for name, value in pairs)
