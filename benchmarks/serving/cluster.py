"""A whole service on this machine: nginx, front ends, replicas on Ray, PostgreSQL, an S3 server."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from sam3i_agent.agent.recording.runs import FOLDER_VARIABLE
from sam3i_agent.benchmarks.serving.nodes import Nodes, running_nodes
from sam3i_agent.benchmarks.serving.postgres import Postgres, Programs, running_postgres
from sam3i_agent.benchmarks.serving.process import (
    HOST,
    end_all,
    exit_on_sigterm,
    free_port,
    wait_ready,
)
from sam3i_agent.core.errors import ModelError
from sam3i_agent.core.storage.blobs import CHECKPOINTS_VARIABLE, STORE_VARIABLE, Blobs
from sam3i_agent.segmodel.sharing.ray_cluster import RAY_ADDRESS

START_S = 600
"""Of all parts, on a machine that has other things to do."""
FRONT_ENDS, REPLICAS = "front ends", "replicas"
_PROBE_S = 5
_RELOAD_S = 1
_BUCKET = "results"
_USERS = "users"
"""The folder of a store in which results are kept, by whose they are."""
_ACCESS_LOG = "nginx-access.log"
_NGINX = """
{user}
worker_processes 1;
error_log {folder}/nginx-errors.log;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    log_format front_ends "$upstream_addr";
    access_log {folder}/{access_log} front_ends;
    client_max_body_size 64m;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    upstream front_ends {{
        {servers}
        keepalive 64;
    }}
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass http://front_ends;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_read_timeout 900s;
            # A call changes nothing that another try would change twice.
            proxy_next_upstream error timeout non_idempotent;
        }}
    }}
}}
"""


@dataclass
class Service:
    """The parts of a running service."""

    folder: Path
    """With the pictures, and what the parts write."""
    model: str
    environment: dict[str, str]
    """Of the front ends: where the store, the database and Ray are."""
    port: int
    """Of nginx."""
    behind: list[int]
    """Ports of the front ends."""
    nodes: Nodes
    postgres: Postgres
    store: "subprocess.Popen[bytes]"
    front_ends: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where clients call."""
        return f"http://{HOST}:{self.port}/mcp"

    @property
    def nginx_conf(self) -> Path:
        """What nginx reads."""
        return self.folder / "nginx.conf"

    def write_nginx_conf(self, front_ends: int) -> None:
        """Let nginx ask the first so many front ends, as soon as it reads this."""
        servers = (f"server {HOST}:{one} max_fails=1 fail_timeout=2s;" for one in self.behind)
        self.nginx_conf.write_text(
            _NGINX.format(
                # Its workers would be another user's, whom a temporary folder keeps out.
                user="user root;" if os.geteuid() == 0 else "",
                folder=self.folder,
                access_log=_ACCESS_LOG,
                host=HOST,
                port=self.port,
                servers="\n        ".join(list(servers)[:front_ends]),
            )
        )

    def ask_only(self, front_ends: int) -> None:
        """Let nginx ask the first so many front ends from now on."""
        self.write_nginx_conf(front_ends)
        subprocess.run(["nginx", "-c", str(self.nginx_conf), "-s", "reload"], check=True)
        time.sleep(_RELOAD_S)

    def start_front_end(self, number: int) -> "subprocess.Popen[bytes]":
        """Start one by its number."""
        address = f"{HOST}:{self.behind[number]}"
        command = [sys.executable, "-m", "sam3i_agent.cli", "serve", "--http", address, "--join"]
        command += ["--root", str(self.folder), "--model", self.model]
        command += ["--allow-host", f"{HOST}:{self.port}"]
        with (self.folder / f"front-end-{number}.log").open("ab") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def kill_front_end(self) -> None:
        """Kill the first front end, and start another in its place, as a supervisor would."""
        self.front_ends[0].kill()
        self.front_ends[0].wait()
        self.front_ends[0] = self.start_front_end(0)

    def stop_store(self, seconds: float) -> None:
        """Let the store answer nobody for a time."""
        self.store.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.store.send_signal(signal.SIGCONT)

    def processes(self) -> dict[str, list[int]]:
        """Return the processes that run now, by what they do."""
        return {
            FRONT_ENDS: [one.pid for one in self.front_ends],
            REPLICAS: self.nodes.replica_pids(),
        }

    def kept_bytes(self) -> int:
        """Return the bytes of all results in the store, with their photos."""
        kept = Blobs(self.environment[STORE_VARIABLE]).list(_USERS)
        return sum(one.size for one in kept)

    def calls_by_front_end(self) -> dict[str, int]:
        """Return how many requests nginx sent to each; `retried` to more than one."""
        ports = {f"{HOST}:{port}": str(number) for number, port in enumerate(self.behind)}
        counts: Counter[str] = Counter()
        for line in (self.folder / _ACCESS_LOG).read_text().splitlines():
            addresses = line.split(", ")
            counts[ports.get(addresses[-1], "none")] += 1
            counts["retried"] += len(addresses) > 1
        return dict(sorted(counts.items()))


@contextmanager
def running_service(
    folder: Path, model: str, replicas: int, front_ends: int, nodes: int
) -> Iterator[Service]:
    """Start all parts, and end them.

    Args:
        folder: for logs; pictures in it may be asked about.
        model: on the replicas.
        replicas: how many.
        front_ends: how many, behind nginx.
        nodes: of the Ray cluster.

    Raises:
        ModelError: a part is not installed, or does not start.
    """
    if shutil.which("nginx") is None:
        raise ModelError("the load on a whole service needs nginx", "apt install nginx")
    programs = Programs.find()
    exit_on_sigterm()
    with ExitStack() as stack:
        started = stack.enter_context(running_nodes(model, replicas, nodes))
        postgres = stack.enter_context(running_postgres(programs))
        store, environment = stack.enter_context(_running_store(folder))
        environment[CHECKPOINTS_VARIABLE] = postgres.url
        environment[FOLDER_VARIABLE] = str(folder / "runs")
        environment[RAY_ADDRESS] = started.address
        stack.enter_context(_environment(environment))
        port, *behind = (free_port() for _ in range(front_ends + 1))
        service = Service(
            folder, model, {**os.environ}, port, behind, started, postgres, store
        )  # fmt: skip
        stack.callback(lambda: end_all(service.front_ends))
        service.front_ends += [service.start_front_end(one) for one in range(front_ends)]
        for one in behind:
            wait_ready(f"http://{HOST}:{one}/readyz", service.front_ends, START_S)
        stack.enter_context(_running_nginx(service))
        yield service


@contextmanager
def _running_nginx(service: Service) -> Iterator[None]:
    service.write_nginx_conf(len(service.behind))
    nginx = subprocess.Popen(["nginx", "-c", str(service.nginx_conf), "-g", "daemon off;"])
    try:
        wait_ready(f"http://{HOST}:{service.port}/readyz", [nginx], START_S)
        yield
    finally:
        end_all([nginx])


@contextmanager
def _running_store(folder: Path) -> "Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]":
    """Run moto's S3; yield its process and the variables that lead there."""
    port = free_port()
    with (folder / "store.log").open("ab") as log:
        command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    address = f"http://{HOST}:{port}"
    try:
        wait_ready(address, [process], START_S)
        urlopen(Request(f"{address}/{_BUCKET}", method="PUT"), timeout=_PROBE_S).close()
        variables = {
            STORE_VARIABLE: f"s3://{_BUCKET}/load",
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "load",
            "AWS_SECRET_ACCESS_KEY": secrets.token_hex(8),
            "AWS_REGION": "us-east-1",
        }
        yield process, variables
    finally:
        process.send_signal(signal.SIGCONT)
        end_all([process])


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables of this process, where recorded runs look for them, for as long as it lasts."""
    before: dict[str, Any] = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
