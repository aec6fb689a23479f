"""Where the machines of a test meet: a bucket on loopback, and a stand-in for SLURM's sbatch."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

CLIENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class Bucket:
    """What lies in one."""

    def __init__(self, server: str, name: str) -> None:
        self.server, self.name = server, name
        secret = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        self.client = boto3.client("s3", endpoint_url=server, **secret)
        self.client.create_bucket(Bucket=name)

    def keys(self) -> list[str]:
        """Those of all objects, of which there are less than a thousand."""
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())]

    def read(self, key: str) -> bytes:
        """An object's bytes."""
        content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content


@contextmanager
def served(name: str) -> Iterator[Bucket]:
    """An empty bucket of moto's, as long as the context."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Bucket(f"http://{host}:{port}", name)
    finally:
        server.stop()


def sbatch(top: Path, tools: Path, task: int, *command: str, **more: str) -> "subprocess.Popen[bytes]":
    """One task of an array, at work: the script by bash, with SLURM's variables, as a group of processes of its own.

    Its output is added to ``tools/output``; a ``scontrol`` writes what it is asked for to ``tools/asked``. What else is
    in ``tools`` comes before all other programs.
    """
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tools}/asked\n', encoding="utf-8")
    (tools / "scontrol").chmod(0o755)
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    slurm = {"SUBMIT_DIR": str(top), "JOB_ID": str(4711 + task), "ARRAY_TASK_ID": str(task), "CPUS_PER_TASK": "1"}
    environment = os.environ | more | {"PATH": path} | {f"SLURM_{key}": value for key, value in slurm.items()}
    with (tools / "output").open("ab") as file:
        return subprocess.Popen(
            ("bash", *command),
            cwd=top,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # what runs in the background has it ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def waited_for(happened: Callable[[], bool], told: Callable[[], str]) -> None:
    """Look until it has; after two minutes fail, with what was told."""
    ends = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < ends, told()
        time.sleep(0.01)


def newer(folder: Path, pattern: str, since: int) -> bool:
    """Whether there is a checkpoint that was written after this moment, in ns."""
    return any(path.stat().st_mtime_ns > since for path in (folder / ".resume").glob(pattern))
