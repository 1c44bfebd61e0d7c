"""A receiver of webhooks in a process of its own: it writes down what it got and answers as a file says.

python tests/webhook_receiver.py FOLDER — prints its port; FOLDER/status holds the status to answer with (200 without
it), FOLDER/got gets one JSON line per request.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Receiver(BaseHTTPRequestHandler):
    folder: Path

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.folder / "status"
        code = int(status.read_text()) if status.exists() else 200
        row = {"status": code, "path": self.path, "headers": dict(self.headers.items()), "body": body.decode()}
        with (self.folder / "got").open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.send_response(code)
        if code == 302:
            self.send_header("location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


if __name__ == "__main__":
    Receiver.folder = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    print(server.server_address[1], flush=True)
    server.serve_forever()
