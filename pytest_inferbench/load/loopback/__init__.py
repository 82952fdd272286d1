"""
A model server with a known schedule, to hold the client's figures against.

It runs in a process of its own; `Loopback.start` is for code, ``python -m pytest_inferbench.load.loopback --help`` for people.
Its log and a client's record are joined by the ``X-Request-Id`` header.
"""

from pytest_inferbench.load.loopback.log import LoopbackLog, Sent, read_log
from pytest_inferbench.load.loopback.messages import MODEL
from pytest_inferbench.load.loopback.process import Loopback
from pytest_inferbench.load.loopback.schedule import Schedule

__all__ = ["MODEL", "Loopback", "LoopbackLog", "Schedule", "Sent", "read_log"]
