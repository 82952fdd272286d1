"""
Kubernetes objects that are the same wherever they are used, as plain values.

Rule: pure, and every call makes new values, so that YAML has no need of aliases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]

SECRET = "hf-token"  # noqa: S105 - the name of a secret, not one


def meta(name: str, namespace: str) -> Manifest:
    """The metadata of an object that lies in a namespace and is known by its name."""
    return {"name": name, "namespace": namespace, "labels": {"app": name}}


def namespace_object(namespace: str) -> Manifest:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}


def account(name: str, namespace: str) -> Manifest:
    """A service account."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name, namespace)}


def deployment(name: str, namespace: str, *, pod: Manifest, replicas: int = 1) -> Manifest:
    """A Deployment whose pods are known by the label ``app``."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(name, namespace),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": dict(labels)}, "spec": pod},
        },
    }


def service(name: str, namespace: str, *, app: str, port: int, target_port: int) -> Manifest:
    """A Service in front of the pods of an app, inside the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(name, namespace),
        "spec": {
            "selector": {"app": app},
            "ports": [{"name": "main", "protocol": "TCP", "port": port, "targetPort": target_port}],
            "type": "ClusterIP",
        },
    }


def env(values: Mapping[str, str]) -> list[Manifest]:
    """Environment variables with their values."""
    return [{"name": name, "value": str(value)} for name, value in values.items()]


def token(name: str) -> Manifest:
    """An environment variable with the Hugging Face token, which stands in a secret of the namespace."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": "token"}}}


def resources(share: Mapping[str, str]) -> Manifest:
    """A share of a node that is both what is asked for and what may be used."""
    return {"requests": dict(share), "limits": dict(share)}
