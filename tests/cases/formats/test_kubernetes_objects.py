import pytest

from pytest_inferbench.cases.formats.kubernetes_objects import (
    account,
    deployment,
    env,
    meta,
    namespace_object,
    resources,
    service,
    token,
)


def test_objects_carry_their_name_as_a_label_and_lie_in_their_namespace() -> None:
    assert meta("app", "here") == {"name": "app", "namespace": "here", "labels": {"app": "app"}}
    assert account("app", "here")["metadata"] == meta("app", "here")


def test_a_namespace_lies_in_none() -> None:
    assert namespace_object("here") == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "here"}}


def test_a_deployment_selects_its_own_pods_and_a_service_finds_them() -> None:
    made = deployment("app", "here", pod={"containers": []}, replicas=3)
    front = service("front", "here", app="app", port=80, target_port=8000)
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert made["spec"]["replicas"] == 3
    assert made["spec"]["selector"]["matchLabels"] == labels == front["spec"]["selector"]
    assert front["spec"]["ports"] == [{"name": "main", "protocol": "TCP", "port": 80, "targetPort": 8000}]


def test_values_are_text_and_a_token_is_never_a_value() -> None:
    assert env({"PORT": "80"}) == [{"name": "PORT", "value": "80"}]
    assert "value" not in token("HF_TOKEN")
    assert token("HF_TOKEN")["valueFrom"]["secretKeyRef"] == {"name": "hf-token", "key": "token"}


@pytest.mark.parametrize("share", [{"cpu": "1"}, {}])
def test_what_is_asked_for_is_what_may_be_used(share: dict[str, str]) -> None:
    made = resources(share)
    assert made["requests"] == made["limits"] == share
    assert made["requests"] is not made["limits"]
