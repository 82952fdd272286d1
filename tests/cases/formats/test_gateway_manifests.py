import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("google.protobuf", reason="protobuf is not installed")

from pytest_inferbench.cases.formats.format import Source
from pytest_inferbench.cases.formats.gateway_manifests import manifests, namespace_of, needs
from pytest_inferbench.cases.formats.gie import FORMAT
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.errors import ConfigError

FAMILY = Path(__file__).parent / "examples" / "gie" / "family.pbtxt"
ON_CLUSTERS = ("four-h100", "gke", "envoy", "least-request")
# What the API server refuses an object without.
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "Namespace": (),
    "ServiceAccount": (),
    "Deployment": ("spec.selector.matchLabels", "spec.template.metadata.labels", "spec.template.spec.containers"),
    "Service": ("spec.ports", "spec.selector"),
    "GatewayClass": ("spec.controllerName",),
    "Gateway": ("spec.gatewayClassName", "spec.listeners"),
    "HTTPRoute": ("spec.parentRefs", "spec.rules"),
    "BackendTrafficPolicy": ("spec.targetRefs", "spec.loadBalancer.type"),
    "InferencePool": ("spec.selector", "spec.targetPortNumber", "spec.extensionRef.name"),
    "InferenceModel": ("spec.modelName", "spec.poolRef.name"),
    "Role": ("rules",),
    "RoleBinding": ("subjects", "roleRef.kind", "roleRef.name", "roleRef.apiGroup"),
    "HealthCheckPolicy": ("spec.targetRef.name", "spec.default.config"),
}
CLUSTER_WIDE = ("Namespace", "GatewayClass")


def settings_of(name: str) -> dict[str, Any]:
    """As a case carries them: through the suite's field and JSON."""
    source = Source(path=str(FAMILY), text=FAMILY.read_text())
    (imported,) = (one for one in FORMAT.read(source, lenient=False) if one.name == name)
    cluster = suite_of(imported).cases()[0].cluster
    assert cluster is not None
    settings: dict[str, Any] = json.loads(cluster.settings)
    return settings


def objects(name: str) -> dict[str, list[dict[str, Any]]]:
    return {file: list(yaml.safe_load_all(text)) for file, text in manifests(settings_of(name), run_id="0a1b2c3d").items()}


def every(name: str) -> list[dict[str, Any]]:
    return [one for found in objects(name).values() for one in found]


def named(name: str, kind: str) -> Iterator[dict[str, Any]]:
    return (one for one in every(name) if one["kind"] == kind)


def at(found: Any, place: str) -> Any:
    for part in place.split("."):
        found = found[part]
    return found


@pytest.mark.parametrize("name", ON_CLUSTERS)
def test_every_object_has_what_its_kind_requires(name: str) -> None:
    for one in every(name):
        assert one["apiVersion"]
        assert one["metadata"]["name"]
        for place in REQUIRED[one["kind"]]:
            assert at(one, place), f"{one['kind']} has no {place}"


@pytest.mark.parametrize("name", ON_CLUSTERS)
def test_all_of_it_lies_in_the_runs_own_namespace_which_comes_first(name: str) -> None:
    first, *others = every(name)
    assert (first["kind"], first["metadata"]["name"]) == ("Namespace", f"{name}-0a1b2c3d")
    assert {one["metadata"]["namespace"] for one in others if one["kind"] not in CLUSTER_WIDE} == {f"{name}-0a1b2c3d"}


@pytest.mark.parametrize("name", ON_CLUSTERS)
def test_the_same_settings_make_the_same_text_without_aliases(name: str) -> None:
    once, again = (manifests(settings_of(name), run_id="r1") for _ in range(2))
    assert once == again
    assert list(once) == ["ModelServer.yaml", "LoadBalancer.yaml", "BenchmarkTool.yaml"]
    assert not any("&id" in text for text in once.values())


@pytest.mark.parametrize("name", ON_CLUSTERS)
def test_services_and_pools_select_pods_that_are_there(name: str) -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in named(name, "Deployment")]
    for one in (*named(name, "Service"), *named(name, "InferencePool")):
        assert one["spec"]["selector"] in labels
    for one in named(name, "Deployment"):
        assert one["spec"]["selector"]["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]


def test_the_model_server_has_its_gpus_probes_and_token() -> None:
    (server,) = (one for one in named("four-h100", "Deployment") if one["metadata"]["name"] == "model-server")
    (container,) = server["spec"]["template"]["spec"]["containers"]
    assert server["spec"]["replicas"] == 2
    assert container["resources"] == {"requests": {"nvidia.com/gpu": "2"}, "limits": {"nvidia.com/gpu": "2"}}
    assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert container["livenessProbe"]["failureThreshold"] == 240
    token = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token"}}}
    assert token in container["env"]
    assert container["args"][-4:] == ["--tensor-parallel-size", "2", "--model", "meta-llama/Llama-3.1-8B-Instruct"]
    assert server["spec"]["template"]["spec"]["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}


def test_a_plain_service_is_where_the_load_goes() -> None:
    assert [one["kind"] for one in objects("four-h100")["LoadBalancer.yaml"]] == ["Service"]
    assert variable("four-h100", "IP") == {"name": "IP", "value": "model-server-service"}


def test_envoy_routes_to_the_pool_and_its_picker_streams_as_asked() -> None:
    kinds = [one["kind"] for one in objects("envoy")["LoadBalancer.yaml"]]
    assert kinds[:4] == ["GatewayClass", "Gateway", "HTTPRoute", "InferencePool"]
    (route,) = named("envoy", "HTTPRoute")
    assert route["spec"]["rules"][0]["backendRefs"][0]["kind"] == "InferencePool"
    (picker,) = (one for one in named("envoy", "Deployment") if one["metadata"]["name"] == "endpoint-picker")
    container = picker["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example/epp:1"
    assert container["env"] == [{"name": "USE_STREAMING", "value": "true"}]
    assert container["args"][:4] == ["-poolName", "model-server-pool", "-poolNamespace", "envoy-0a1b2c3d"]


def test_gke_has_its_own_class_and_health_check() -> None:
    (gateway,) = named("gke", "Gateway")
    assert gateway["spec"]["gatewayClassName"] == "gke-l7-rilb"
    assert not list(named("gke", "GatewayClass"))
    assert len(list(named("gke", "HealthCheckPolicy"))) == 1


def test_a_policy_of_envoys_own_needs_no_picker() -> None:
    assert not list(named("least-request", "InferencePool"))
    (policy,) = named("least-request", "BackendTrafficPolicy")
    assert policy["spec"]["loadBalancer"] == {"type": "LeastRequest"}


def test_the_load_generator_finds_the_gateway_once_it_has_an_address() -> None:
    assert variable("envoy", "IP") == {"name": "IP", "valueFrom": {"configMapKeyRef": {"name": "gateway-address", "key": "ip"}}}
    assert variable("envoy", "REQUEST_RATES")["value"].startswith("40.0,80.0,")
    assert variable("envoy", "BENCHMARK_TIME_SECONDS") == {"name": "BENCHMARK_TIME_SECONDS", "value": "30"}


def test_an_address_that_is_written_is_the_load_generators() -> None:
    settings = settings_of("envoy")
    settings["benchmark_tool"]["lpg"]["ip"] = "10.0.0.7"
    assert 'value: "10.0.0.7"' in manifests(settings, run_id="r")["BenchmarkTool.yaml"]
    assert "gateway-address" not in needs(settings)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        (
            "four-h100",
            "a Kubernetes cluster with 4 GPUs on nodes labelled cloud.google.com/gke-accelerator=nvidia-h100-80gb and a secret",
        ),
        ("envoy", "Envoy Gateway, the CRDs of inference.networking.x-k8s.io/v1alpha2 and a ConfigMap gateway-address"),
        ("gke", "GKE's Gateway controller with the class gke-l7-rilb, the CRDs of"),
        ("least-request", "Envoy Gateway and a ConfigMap gateway-address"),
    ],
)
def test_what_cluster_it_needs_is_one_sentence(name: str, needed: str) -> None:
    sentence = needs(settings_of(name))
    assert needed in sentence
    assert sentence.endswith(".")


def test_a_namespace_is_a_name_that_kubernetes_takes() -> None:
    assert namespace_of({"name": "R8_svc.v1"}, "ab") == "r8-svc-v1-ab"
    assert namespace_of({"name": "x" * 100}, "0a1b2c3d") == "x" * 54 + "-0a1b2c3d"


def test_a_run_id_that_cannot_be_in_a_namespace_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'Run_1' cannot stand in the name of a namespace"):
        manifests(settings_of("gke"), run_id="Run_1")


def test_settings_that_lack_something_are_an_error_that_names_it() -> None:
    settings = settings_of("gke")
    del settings["benchmark_tool"]["image"]
    with pytest.raises(ConfigError, match="cluster: has no image, without which there are no manifests"):
        manifests(settings, run_id="r1")


def variable(name: str, variable_name: str) -> dict[str, Any]:
    """A variable of the load generator's container."""
    (tool,) = (one for one in named(name, "Deployment") if one["metadata"]["name"] == "benchmark-tool")
    env = tool["spec"]["template"]["spec"]["containers"][0]["env"]
    (found,) = (one for one in env if one["name"] == variable_name)
    assert isinstance(found, dict)
    return found
