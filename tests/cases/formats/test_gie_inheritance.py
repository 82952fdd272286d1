import pytest

pytest.importorskip("google.protobuf", reason="protobuf is not installed")

from pytest_inferbench.cases.formats.format import Source
from pytest_inferbench.cases.formats.gie_inheritance import Benchmark, field_line, read_benchmarks
from pytest_inferbench.errors import ConfigError

BASE = """
benchmarks {
  name: "base"
  config {
    model_server { replicas: 4 vllm { model: "m" } }
    load_balancer { k8s_service {} }
    benchmark_tool { lpg { request_rates: "1,2" port: "80" } }
  }
}
"""


def read(text: str, *, lenient: bool = False) -> dict[str, Benchmark]:
    return {one.name: one for one in read_benchmarks(Source(path="a.pbtxt", text=text), lenient=lenient)}


def heir(name: str, base: str, config: str = "") -> str:
    return f'benchmarks {{ name: "{name}" base_benchmark_name: "{base}" config {{ {config} }} }}\n'


def test_everything_is_inherited_but_the_request_rates() -> None:
    config = read(BASE + heir("a", "base"))["a"].message.config
    assert (config.model_server.replicas, config.model_server.vllm.model) == (4, "m")
    assert (config.benchmark_tool.lpg.port, config.benchmark_tool.lpg.request_rates) == ("80", "")


def test_messages_are_merged_field_by_field() -> None:
    found = read(BASE + heir("a", "base", 'model_server { vllm { tensor_parallelism: "2" } }'))
    vllm = found["a"].message.config.model_server.vllm
    assert (vllm.model, vllm.tensor_parallelism, vllm.v1) == ("m", "2", "0")
    assert found["base"].message.config.model_server.vllm.tensor_parallelism == "1"


def test_fields_that_follow_from_others_are_not_inherited() -> None:
    text = BASE + heir("a", "base", 'load_balancer { gateway { envoy { lb_policy: "Random" } } }') + heir("b", "a")
    balancer = read(text)["b"].message.config.load_balancer
    assert not balancer.k8s_service_enabled
    assert balancer.gateway_enabled
    assert balancer.gateway_envoy_lb_policy_enabled
    assert not balancer.gateway_envoy_epp_enabled


def test_a_false_where_the_base_has_nothing_loses_nothing() -> None:
    text = BASE + heir("a", "base", "load_balancer { gateway { full_duplex_streaming_enabled: false } }")
    assert read(text)["a"].lost == ()


def test_a_long_line_of_heirs_is_no_recursion() -> None:
    names = [f"h{number}" for number in range(1200)]
    text = "".join(heir(name, base) for name, base in zip(names, ["base", *names], strict=False))
    # The last first, so that all of its line has to be found from there.
    found = read("".join(reversed(text.splitlines(keepends=True))) + BASE)
    assert found["h1199"].message.config.model_server.replicas == 4


def test_a_benchmark_cannot_be_its_own_base() -> None:
    with pytest.raises(ConfigError, match="a: base_benchmark_name: goes round in a circle: a -> a"):
        read(heir("a", "a"))


def test_a_field_is_found_behind_its_benchmarks_name_and_comments_are_passed_over() -> None:
    text = 'name: "a"\n# replicas: 1\nreplicas: 2\n'
    assert field_line(text, 1, "config.model_server.replicas") == 3
    assert field_line(text, 1, "config.model_server.image") == 1


def test_a_lenient_reading_stops_at_a_mistake_in_the_first_benchmark() -> None:
    with pytest.raises(ConfigError, match=r"holds no benchmarks \{ \.\.\. \}"):
        read(BASE.replace("replicas", "replicass"), lenient=True)
