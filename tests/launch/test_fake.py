from pytest_inferbench.launch.endpoint import Server
from pytest_inferbench.launch.fake import FakeServer, fake_endpoint


def test_a_fake_follows_its_script() -> None:
    fake = FakeServer(deaths=[None, "it exited with code 1"], log="one\ntwo\nthree")
    server: Server = fake
    assert [server.died() for _ in range(3)] == [None, "it exited with code 1", "it exited with code 1"]
    assert server.log_tail(2) == "two\nthree"
    assert server.log_tail(0) == ""
    server.stop()
    assert fake.stops == 1
    assert server.endpoint == fake_endpoint()
    assert server.endpoint.engine == "fake"
