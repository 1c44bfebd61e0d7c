"""nginx alone as a bare proxy: what a call costs when nothing is checked, counted or kept."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from entrepot.prove.processes import RigBroken, end, free_port, wait_for_port

_CONFIG = """
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections {files}; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 64m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream vendor {{ server 127.0.0.1:{vendor}; keepalive 512; keepalive_requests 1000000000; }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  server {{
    listen 127.0.0.1:{port} backlog=16384;
    location / {{ proxy_pass http://vendor; }}
  }}
  server {{
    listen 127.0.0.1:{stream_port} backlog=16384;
    location / {{ proxy_pass http://vendor; proxy_buffering off; }}
  }}
}}
"""


class Nginx:
    """One master, one worker; `port` buffers answers, `stream_port` does not."""

    def __init__(self, vendor: int, *, files: int, core: int | None) -> None:
        if shutil.which("nginx") is None:
            raise RigBroken("nginx is not installed: apt-get install nginx-light")
        self.folder = Path(tempfile.mkdtemp(prefix="bench-nginx-"))
        self.port, self.stream_port = free_port(), free_port()
        text = _CONFIG.format(
            folder=self.folder, vendor=vendor, port=self.port, stream_port=self.stream_port, files=files
        )
        config = self.folder / "nginx.conf"
        config.write_text(text)
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        command = [*pinned, "nginx", "-p", str(self.folder), "-c", str(config), "-e", str(self.folder / "error.log")]
        self._master = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_for_port(self.port)

    @property
    def version(self) -> str:
        found = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
        return found.stderr.strip().removeprefix("nginx version: ")

    @property
    def pids(self) -> tuple[int, ...]:
        """The worker; the master does nothing."""
        children = Path(f"/proc/{self._master.pid}/task/{self._master.pid}/children").read_text().split()
        return tuple(map(int, children))

    def stop(self) -> None:
        end(self._master)
        shutil.rmtree(self.folder, ignore_errors=True)
