"""nginx with nchan, from Debian's packages: installed (libnginx-mod-nchan), or unpacked below some folder."""

from __future__ import annotations

import os
from pathlib import Path

from bench.process import Process, free_port

__all__ = ["Nchan", "nchan_folder"]

_CONFIGURATION = """
load_module {folder}/usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off; master_process off; worker_rlimit_nofile 20000;
pid {directory}/pid; error_log {directory}/error;
events {{ worker_connections 16000; }}
http {{
  access_log off; keepalive_requests 1000000000; nchan_shared_memory_size 256M;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=16000;
    client_body_buffer_size 64k;
    location ~ ^/pub/(\\w+)$ {{ nchan_publisher; nchan_channel_id $1; nchan_message_buffer_length 10; }}
    location ~ ^/sub/(\\w+)$ {{ nchan_subscriber; nchan_channel_id $1; nchan_subscriber_first_message newest; }}
  }}
}}
"""


class Nchan:
    """One process, as the gateway is."""

    broker_name = ""

    def __init__(self, directory: Path, folder: Path) -> None:
        self.port = self.grpc_port = free_port()
        self.processes: list[Process] = []
        self._directory = directory
        self._folder = folder

    def start(self) -> float:
        """See `bench.servers.Server`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        file = self._directory / "nginx.conf"
        file.write_text(_CONFIGURATION.format(folder=self._folder, directory=self._directory, port=self.port))
        libraries = os.pathsep.join(map(str, self._folder.glob("usr/lib/*-linux-gnu")))
        command = [str(self._folder / "usr/sbin/nginx"), "-c", str(file), "-p", str(self._directory)]
        environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
        process = Process(command, self._directory / "log", environment, self._directory)
        self.processes.append(process)
        return process.wait_listening(self.port)

    def stop(self) -> None:
        """See `bench.servers.Server`."""
        while self.processes:
            self.processes.pop().stop()


def nchan_folder(root: Path) -> Path | None:
    """The folder below which the packages are installed (/) or unpacked, if they are."""
    return root if (root / "usr/lib/nginx/modules/ngx_nchan_module.so").exists() else None
