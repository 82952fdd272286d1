"""
Kubernetes manifests for a benchmark that needs a cluster: replicas of a model server behind a Service or an inference gateway.

Rule: pure. The same settings and run id make the same text, byte for byte, and nothing is applied here. Whoever applies them does
so in the order of the files; deleting the namespace takes all of it away but a GatewayClass, which belongs to no namespace.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_inferbench.cases.formats.format import SHAREGPT
from pytest_inferbench.cases.formats.gie import INPUT_TOKENS_MAX, SERVER_ARGS, SHAREGPT_NAME
from pytest_inferbench.cases.formats.kubernetes_objects import (
    SECRET,
    Manifest,
    account,
    deployment,
    env,
    meta,
    namespace_object,
    resources,
    service,
    token,
)
from pytest_inferbench.cases.formats.yaml_text import yaml_text
from pytest_inferbench.errors import ConfigError

Settings = Mapping[str, Any]
MODEL_SERVER = "model-server"
GATEWAY = "inference-gateway"
PICKER = "endpoint-picker"
POOL = "model-server-pool"
TOOL = "benchmark-tool"
ADDRESS = "gateway-address"
"""The ConfigMap in which the load generator finds the gateway's address, once there is one."""
AUTOMATIC = "to-be-populated-automatically"
SERVER_PORT = 8000
NAMESPACE_MAX = 63

_INFERENCE = "inference.networking.x-k8s.io"
_INFERENCE_VERSION = f"{_INFERENCE}/v1alpha2"
_CLASSES = {"envoy": GATEWAY, "gke_gateway": "gke-l7-rilb"}
# The load generator's and the picker's shares of a node are those of the original's charts.
_TOOL_SHARE = {"cpu": "6", "memory": "30Gi"}
_PICKER_SHARE = {"cpu": "10", "memory": "20Gi"}


def namespace_of(settings: Settings, run_id: str) -> str:
    """The namespace of a run: ``{name}-{run id}``, as far as Kubernetes takes it."""
    name = re.sub(r"[^a-z0-9-]+", "-", str(settings["name"]).lower()).strip("-")
    return f"{name[: NAMESPACE_MAX - 1 - len(run_id)].rstrip('-')}-{run_id}".lstrip("-")


def manifests(settings: Settings, *, run_id: str) -> dict[str, str]:
    """
    The manifests as YAML, by the name of the file: what is to be applied first comes first.

    Raises:
        ConfigError: the settings are incomplete, or the run id cannot stand in the name of a namespace.
    """
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", run_id):
        raise ConfigError(f"{run_id!r} cannot stand in the name of a namespace; use small letters, digits and hyphens")
    namespace = namespace_of(settings, run_id)
    try:
        files = {
            "ModelServer.yaml": [namespace_object(namespace), *_model_server(settings, namespace)],
            "LoadBalancer.yaml": _load_balancer(settings, namespace),
            "BenchmarkTool.yaml": _benchmark_tool(settings, namespace),
        }
    except KeyError as exc:
        raise ConfigError(f"has no {exc.args[0]}, without which there are no manifests", field="cluster") from exc
    return {name: _yaml(found) for name, found in files.items()}


def needs(settings: Settings) -> str:
    """What the cluster must have before the manifests are applied, in one sentence."""
    server = settings["model_server"]
    gpus = int(server["replicas"]) * _gpus(server)
    parts = [
        f"{gpus} GPUs on nodes labelled cloud.google.com/gke-accelerator={server['accelerator']}",
        f"a secret {SECRET} with the key token in the run's namespace",
    ]
    gateway = settings["load_balancer"].get("gateway", {})
    if "gke_gateway" in gateway:
        parts.append(f"GKE's Gateway controller with the class {_CLASSES['gke_gateway']}")
    if "envoy" in gateway:
        parts.append("Envoy Gateway")
    if _picker(gateway) is not None:
        parts.append(f"the CRDs of {_INFERENCE_VERSION}")
    if gateway and not _address(settings):
        parts.append(f"a ConfigMap {ADDRESS} with the gateway's address as ip, once the gateway has one")
    return f"It needs a Kubernetes cluster with {', '.join(parts[:-1])} and {parts[-1]}."


def _yaml(found: list[Manifest]) -> str:
    return "".join(f"---\n{yaml_text(one)}" for one in found)


def _gpus(server: Settings) -> int:
    return int(server["vllm"]["tensor_parallelism"])


def _picker(gateway: Settings) -> Settings | None:
    """The endpoint picker's settings; None where the gateway has none."""
    found = gateway.get("gke_gateway", gateway.get("envoy", {})).get("epp")
    return found if isinstance(found, Mapping) else None


def _address(settings: Settings) -> str:
    written = str(settings["benchmark_tool"]["lpg"].get("ip", ""))
    return "" if written == AUTOMATIC else written


# --- ModelServer.yaml -------------------------------------------------------------------------------------------------------


def _model_server(settings: Settings, namespace: str) -> list[Manifest]:
    server = settings["model_server"]
    pod = {
        "nodeSelector": {"cloud.google.com/gke-accelerator": server["accelerator"]},
        "containers": [_vllm(server)],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "shm", "emptyDir": {"medium": "Memory"}}],
    }
    return [deployment(MODEL_SERVER, namespace, pod=pod, replicas=int(server["replicas"]))]


def _vllm(server: Settings) -> Manifest:
    options = {**SERVER_ARGS, "tensor_parallel_size": server["vllm"]["tensor_parallelism"], "model": server["vllm"]["model"]}
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return {
        "name": MODEL_SERVER,
        "image": server["image"],
        "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "args": ["--port", str(SERVER_PORT), *words],
        "env": [
            token("HF_TOKEN"),
            *env({"VLLM_USE_V1": server["vllm"]["v1"], "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true"}),
        ],
        "ports": [{"name": "http", "containerPort": SERVER_PORT, "protocol": "TCP"}],
        # 600 looks, 5 s apart: a model may have to be downloaded first.
        "readinessProbe": _probe(600),
        "livenessProbe": _probe(240, delay_s=600),
        "resources": resources({"nvidia.com/gpu": str(_gpus(server))}),
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108 - in a pod
    }


def _probe(failures: int, *, delay_s: int = 5) -> Manifest:
    return {
        "httpGet": {"path": "/health", "port": "http"},
        "initialDelaySeconds": delay_s,
        "periodSeconds": 5,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


# --- LoadBalancer.yaml ------------------------------------------------------------------------------------------------------


def _load_balancer(settings: Settings, namespace: str) -> list[Manifest]:
    balancer = settings["load_balancer"]
    port = int(settings["benchmark_tool"]["lpg"]["port"])
    gateway = balancer.get("gateway")
    front = service(f"{MODEL_SERVER}-service", namespace, app=MODEL_SERVER, port=port, target_port=SERVER_PORT)
    if gateway is None:
        return [front]
    kind = "gke_gateway" if "gke_gateway" in gateway else "envoy"
    found = [_gateway_class()] if kind == "envoy" else []
    found.append(_gateway(namespace, _CLASSES[kind], port))
    picker = _picker(gateway)
    if picker is None:
        return [front, *found, _route(namespace, _service_ref(port)), _traffic_policy(namespace, gateway["envoy"]["lb_policy"])]
    found += [_route(namespace, _pool_ref()), *_pool(settings, namespace)]
    found += _endpoint_picker(picker, namespace, full_duplex=bool(gateway.get("full_duplex_streaming_enabled")))
    return [*found, _health_check(namespace)] if kind == "gke_gateway" else found


def _gateway_class() -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": GATEWAY},
        "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
    }


def _gateway(namespace: str, class_name: str, port: int) -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": meta(GATEWAY, namespace),
        "spec": {"gatewayClassName": class_name, "listeners": [{"name": "http", "protocol": "HTTP", "port": port}]},
    }


def _service_ref(port: int) -> Manifest:
    return {"group": "", "kind": "Service", "name": f"{MODEL_SERVER}-service", "port": port}


def _pool_ref() -> Manifest:
    return {"group": _INFERENCE, "kind": "InferencePool", "name": POOL}


def _route(namespace: str, backend: Manifest) -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": meta("model-server-route", namespace),
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": GATEWAY}],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [backend],
                    # A saturated server answers late; a gateway that gives up first would hide it.
                    "timeouts": {"request": "24h", "backendRequest": "24h"},
                }
            ],
        },
    }


def _traffic_policy(namespace: str, lb_policy: str) -> Manifest:
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": meta("model-server-balancing", namespace),
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "model-server-route"}],
            "loadBalancer": {"type": lb_policy},
        },
    }


def _pool(settings: Settings, namespace: str) -> list[Manifest]:
    models = [model.strip() for model in str(settings["benchmark_tool"]["lpg"]["models"]).split(",")]
    pool = {
        "apiVersion": _INFERENCE_VERSION,
        "kind": "InferencePool",
        "metadata": meta(POOL, namespace),
        "spec": {
            "targetPortNumber": SERVER_PORT,
            "selector": {"app": MODEL_SERVER},
            "extensionRef": {"name": PICKER},
        },
    }
    return [pool, *(_model(number, model, namespace) for number, model in enumerate(models))]


def _model(number: int, model: str, namespace: str) -> Manifest:
    return {
        "apiVersion": _INFERENCE_VERSION,
        "kind": "InferenceModel",
        "metadata": meta(f"model-{number}", namespace),
        "spec": {"modelName": model, "criticality": "Critical", "poolRef": {"name": POOL}},
    }


def _endpoint_picker(picker: Settings, namespace: str, *, full_duplex: bool) -> list[Manifest]:
    container = {
        "name": PICKER,
        "image": picker["image"],
        "args": [
            *("-poolName", POOL, "-poolNamespace", namespace),
            *("-refreshMetricsInterval", picker["refresh_metrics_interval"], "-v", "3"),
        ],
        "env": env({"USE_STREAMING": str(full_duplex).lower()}),
        "ports": [{"containerPort": 9002}, {"containerPort": 9003}, {"name": "metrics", "containerPort": 9090}],
        "livenessProbe": _picker_probe(),
        "readinessProbe": _picker_probe(),
        "resources": resources(_PICKER_SHARE),
    }
    return [
        account(PICKER, namespace),
        _role(namespace),
        _role_binding(namespace),
        deployment(PICKER, namespace, pod={"serviceAccountName": PICKER, "containers": [container]}),
        service(PICKER, namespace, app=PICKER, port=9002, target_port=9002),
    ]


def _picker_probe() -> Manifest:
    return {"grpc": {"port": 9003, "service": "inference-extension"}, "initialDelaySeconds": 5, "periodSeconds": 10}


def _role(namespace: str) -> Manifest:
    look = ["get", "watch", "list"]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": meta(PICKER, namespace),
        "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": list(look)},
            {"apiGroups": [_INFERENCE], "resources": ["inferencepools", "inferencemodels"], "verbs": list(look)},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": list(look)},
        ],
    }


def _role_binding(namespace: str) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": meta(PICKER, namespace),
        "subjects": [{"kind": "ServiceAccount", "name": PICKER, "namespace": namespace}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": PICKER},
    }


def _health_check(namespace: str) -> Manifest:
    check = {"type": "HTTP", "httpHealthCheck": {"requestPath": "/health", "port": SERVER_PORT}}
    return {
        "apiVersion": "networking.gke.io/v1",
        "kind": "HealthCheckPolicy",
        "metadata": meta("model-server-health", namespace),
        "spec": {"targetRef": _pool_ref(), "default": {"config": check}},
    }


# --- BenchmarkTool.yaml -----------------------------------------------------------------------------------------------------


def _benchmark_tool(settings: Settings, namespace: str) -> list[Manifest]:
    tool = settings["benchmark_tool"]
    container = {
        "name": TOOL,
        "image": tool["image"],
        "command": ["bash", "-c", "./latency_throughput_curve.sh"],
        "env": [_ip(settings), *env(_profile(tool["lpg"], namespace)), token("HF_TOKEN")],
        "resources": resources(_TOOL_SHARE),
    }
    pod = {"serviceAccountName": TOOL, "containers": [container]}
    return [account(TOOL, namespace), deployment(TOOL, namespace, pod=pod)]


def _profile(lpg: Settings, namespace: str) -> dict[str, str]:
    """What the load generator's script reads from its environment."""
    return {
        "PORT": lpg["port"],
        "REQUEST_RATES": lpg["request_rates"],
        "BENCHMARK_TIME_SECONDS": lpg["benchmark_time_seconds"],
        "MODELS": lpg["models"],
        "TOKENIZER": lpg["tokenizer"],
        "BACKEND": "vllm",
        "INPUT_LENGTH": str(INPUT_TOKENS_MAX),
        "OUTPUT_LENGTH": lpg["output_length"],
        "PROMPT_DATASET_FILE": SHAREGPT["path"] if lpg["dataset"] == SHAREGPT_NAME else lpg["dataset"],
        "FILE_PREFIX": "benchmark-catalog",
        "SCRAPE_SERVER_METRICS": "true",
        "PM_NAMESPACE": namespace,
        "PM_JOB": "model-server-monitoring",
    }


def _ip(settings: Settings) -> Manifest:
    written = _address(settings)
    if written:
        return {"name": "IP", "value": written}
    if "gateway" not in settings["load_balancer"]:
        return {"name": "IP", "value": f"{MODEL_SERVER}-service"}
    return {"name": "IP", "valueFrom": {"configMapKeyRef": {"name": ADDRESS, "key": "ip"}}}
