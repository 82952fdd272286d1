"""The same uploads to a folder and to an S3 server: interrupted, damaged, refused, and brought back."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_inferbench.errors import RecordError
from pytest_inferbench.fetch_command import fetch
from pytest_inferbench.records.artifact_manifest import manifest_of
from pytest_inferbench.records.artifact_store import Store
from pytest_inferbench.records.artifacts import fetch_run, upload_run
from pytest_inferbench.upload_command import upload
from tests.records.test_artifacts import RUN_ID, run_in

BUCKET = "benchmarks"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "verySecretKey1234567", "AWS_DEFAULT_REGION": "us-east-1"}
LIMIT_S = 120.0
FILES = 7
UPLOAD_UNTIL_KILLED = """
import os, signal
from itertools import count
from pytest_inferbench.records.artifact_store import Store
from pytest_inferbench.upload_command import upload

send, numbers = Store.send, count(1)

def killed(self, local, path):
    if next(numbers) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    send(self, local, path)

Store.send = killed
upload()
"""


def missing() -> str | None:
    """What an S3 server here would need and is not installed."""
    lacking = [name for name in ("moto", "flask", "s3fs", "boto3") if importlib.util.find_spec(name) is None]
    return f"{', '.join(lacking)} not installed" if lacking else None


class S3Server:
    """moto's S3 server in a process of its own, on this machine only."""

    def __init__(self, folder: Path) -> None:
        code = (
            "from moto.server import ThreadedMotoServer; import sys, time\n"
            "server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False); server.start()\n"
            "print(server.get_host_and_port()[1], flush=True); sys.stdin.read()\n"
        )
        environment = {**os.environ, **CREDENTIALS}
        with (folder / "s3.txt").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def post(self, path: str, data: bytes = b"") -> None:
        """Ask something of moto itself."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        connection.request("POST", path, body=data, headers={"Content-Type": "text/plain"})
        assert connection.getresponse().status == 200
        connection.close()

    def client(self) -> Any:
        """S3 as Amazon's own library speaks it."""
        keys = {"aws_access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": "x", "region_name": "us-east-1"}
        return importlib.import_module("boto3").client("s3", endpoint_url=self.url, **keys)

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=LIMIT_S)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    if lacking := missing():
        pytest.skip(lacking)
    found = S3Server(tmp_path_factory.mktemp("s3"))
    yield found
    found.close()


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3Server:
    """The server with one empty bucket, and the environment that leads to it."""
    server.post("/moto-api/reset")
    server.client().create_bucket(Bucket=BUCKET)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": server.url, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "FSSPEC_S3_ENDPOINT_URL", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return server


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return (tmp_path / "store").as_uri()
    request.getfixturevalue("s3")
    return f"s3://{BUCKET}/runs"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_in(tmp_path / "run")


def store(url: str) -> Store:
    return Store(f"{url}/{RUN_ID}", sleep=lambda _s: None)


def upload_now(run: Path, url: str, *, overwrite: bool = False) -> Any:
    """Upload without waits between attempts."""
    return upload_run(run, url, overwrite=overwrite, store=Store(url, sleep=lambda _s: None))


# --- the same for a folder and for S3 ---------------------------------------------------------------------------------------


def test_a_run_goes_and_comes_back_by_the_commands(run: Path, url: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(upload, [str(run), url])
    assert done.exit_code == 0, done.output
    assert f"{FILES} of {FILES} files sent" in done.stdout
    assert "nothing to do" in CliRunner().invoke(upload, [str(run), url]).stdout
    back = CliRunner().invoke(fetch, [f"{url}/{RUN_ID}", str(tmp_path / "back")])
    assert back.exit_code == 0, back.output
    assert manifest_of(tmp_path / "back") == manifest_of(run)
    for text in (done.output, back.output, store(url).read("artifact.json", bytes_max=10**6).decode()):
        assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in text


def test_an_upload_that_is_killed_is_gone_on_with(tmp_path: Path, url: str) -> None:
    run = run_in(tmp_path / "run", cases=25)
    files = len(manifest_of(run).files)
    killed = subprocess.run(
        [sys.executable, "-c", UPLOAD_UNTIL_KILLED, str(run), url], capture_output=True, check=False, timeout=LIMIT_S
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    # Four are sent at a time: when the 20th is begun, at most three others are under way.
    there = store(url).listing()
    assert len(there) >= 16
    assert "artifact.json" not in there
    with pytest.raises(RecordError, match="holds no complete run"):
        fetch_run(f"{url}/{RUN_ID}", tmp_path / "back")
    again = upload_now(run, url)
    assert (again.files, 0 < again.sent_files <= files - 16) == (files, True)
    fetch_run(url, tmp_path / "back")
    assert manifest_of(tmp_path / "back") == manifest_of(run)


def test_a_damaged_file_is_found_by_fetching_and_mended_by_uploading(run: Path, url: str, tmp_path: Path) -> None:
    upload_now(run, url)
    (tmp_path / "bad").write_bytes(b"\xff" * 5000)
    store(url).send(tmp_path / "bad", "case-1/requests.parquet")
    with pytest.raises(RecordError, match=r"case-1/requests\.parquet is damaged where it lies: 5000 bytes with SHA-256"):
        fetch_run(url, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert upload_now(run, url).sent_files == 1
    assert fetch_run(url, tmp_path / "back").files == FILES


def test_a_run_that_is_there_is_changed_only_when_told_to(run: Path, url: str, tmp_path: Path) -> None:
    upload_now(run, url)
    (run / "case-0" / "summary.json").write_text("{}")
    (run / "case-2" / "summary.json").unlink()
    with pytest.raises(RecordError, match=r"holds another state of run .* 2 files differ.*unless you say so with --overwrite"):
        upload_now(run, url)
    assert upload_now(run, url, overwrite=True).sent_files == 1
    fetch_run(url, tmp_path / "back")
    assert manifest_of(tmp_path / "back") == manifest_of(run)
    assert "case-2/summary.json" not in store(url).listing()


def test_a_hostile_manifest_writes_nothing(run: Path, url: str, tmp_path: Path) -> None:
    upload_now(run, url)
    value = json.loads(store(url).read("artifact.json", bytes_max=10**6))
    value["files"][0]["path"] = "../../escaped"
    store(url).send_whole(json.dumps(value).encode(), "artifact.json")
    with pytest.raises(RecordError, match=r"names the file '../../escaped', which is refused: it leads through"):
        fetch_run(url, tmp_path / "a" / "back")
    assert not (tmp_path / "a").exists()


def test_an_empty_file_and_one_with_a_space_in_its_name_come_back(run: Path, url: str, tmp_path: Path) -> None:
    (run / "case-0" / "server.log").touch()
    (run / "case-0" / "a name+50%.txt").write_text("text")
    upload_now(run, url)
    fetch_run(url, tmp_path / "back")
    assert manifest_of(tmp_path / "back") == manifest_of(run)
    assert upload_now(run, url).sent_files == 0


def test_of_several_runs_one_must_be_named(run: Path, url: str, tmp_path: Path) -> None:
    upload_now(run, url)
    upload_now(run_in(tmp_path / "second", run_id="20261123-000000-aaaa"), url)
    done = CliRunner().invoke(fetch, [url, str(tmp_path / "back")])
    assert (done.exit_code, "holds 2 runs; say which" in done.stderr) == (2, True)
    assert fetch_run(f"{url}/20261123-000000-aaaa", tmp_path / "back").run_id == "20261123-000000-aaaa"


# --- S3 alone ---------------------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_endpoint_that_is_down_is_said_and_going_on_later_works(
    s3: S3Server, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"s3://{BUCKET}/runs"
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        with pytest.raises(RecordError) as caught:
            upload_now(run, url)
    words = str(caught.value)
    assert words.startswith(
        f"{url}/{RUN_ID} did not answer as it should, 4 times over: EndpointConnectionError: Could not connect"
    )
    assert "is the network up, and is this the right address?" in words
    assert upload_now(run, url).sent_files == FILES


def test_wrong_credentials_are_said_in_the_servers_words_and_never_shown(
    s3: S3Server, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONGWRONGWRONGX")
    s3.post("/moto-api/reset-auth", b"0")
    try:
        done = CliRunner().invoke(upload, [str(run), f"s3://{BUCKET}/runs"])
    finally:
        s3.post("/moto-api/reset-auth", b"inf")
    assert done.exit_code == 1
    said = re.sub(r"\s+", " ", done.stderr)
    assert "refused: The AWS Access Key Id you provided does not exist in our records" in said
    assert "check the credentials in the environment, and what they allow" in said
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in done.output
    assert "AKIAWRONG" not in done.output


def test_no_credentials_at_all_are_said(s3: S3Server, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(RecordError, match="refused: Unable to locate credentials; check the credentials in the environment"):
        upload_now(run, f"s3://{BUCKET}/runs")


def test_a_bucket_that_is_not_there_is_said(s3: S3Server, run: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"is not there: .*bucket does not exist.*; is the bucket or the folder made\?"):
        upload_now(run, "s3://nobody-made-this/runs")
    with pytest.raises(RecordError, match="holds no complete run"):
        fetch_run("s3://nobody-made-this/runs", tmp_path / "back")


def test_objects_are_there_for_other_tools_under_their_names(s3: S3Server, run: Path) -> None:
    upload_now(run, f"s3://{BUCKET}/runs")
    keys = {each["Key"] for each in s3.client().list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert keys == {f"runs/{RUN_ID}/{path}" for path in ("artifact.json", *(each.path for each in manifest_of(run).files))}
    body = s3.client().get_object(Bucket=BUCKET, Key=f"runs/{RUN_ID}/case-1/summary.json")["Body"].read()
    assert body == (run / "case-1" / "summary.json").read_bytes()
