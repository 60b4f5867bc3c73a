"""A real HTTP server that behaves as a test says, and the client that asks it."""

from __future__ import annotations

import json
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from biddable.models.identity import CANARY_TOKENS
from biddable.models.openai import OpenAIModel


def completion(text="fine", finish="stop", **choice):
    return {"choices": [{"message": {"content": text}, "finish_reason": finish} | choice]}


class Server:
    """Answers request ``k`` with ``behaviours[k]``, and every later one with the last of them.

    A behaviour takes the handler and the request's body and writes the answer. The short request that
    tells models apart is none of these: it is answered as ``canary`` says.
    """

    def __init__(self):
        self.behaviours = [ok()]
        self.canary, self.canaries = ok("the same as ever"), []
        self.routes, self.gets = {}, []
        self.requests, self.headers = [], []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if body.get("max_tokens") == CANARY_TOKENS:
                    server.canaries.append(body)
                    return server.canary(self, body)
                with server._lock:
                    behave = server.behaviours[min(len(server.requests), len(server.behaviours) - 1)]
                    server.requests.append((self.path, body))
                    server.headers.append(dict(self.headers))
                behave(self, body)

            def do_GET(self):
                server.gets.append(self.path)
                found = self.path in server.routes
                answer(200 if found else 404, server.routes.get(self.path, {}))(self, None)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *args: None
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def hang(self, handler, body):
        self.closing.wait(30)

    def trickle(self, handler, body):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not self.closing.wait(0.02):
            handler.wfile.write(b" ")
            handler.wfile.flush()


def answer(status, body, **headers):
    def behave(handler, _):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return behave


def ok(text="fine", **choice):
    return answer(200, completion(text, **choice))


def echo_seed(handler, body):
    answer(200, completion(str(body.get("seed"))))(handler, body)


def reset(handler, _):
    # Lingering for 0 seconds turns the close into a TCP reset.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def hang_up(handler, _):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def model(server, **options):
    return OpenAIModel("m", server.url, **{"backoff_s": 0.001, "timeout_s": 10, "retries": 2, **options})


def texts(rows):
    return [[response.text for response in row] for row in rows]


def count_files(folder):
    """How many answers a cache keeps."""
    return sum(path.is_file() for path in folder.rglob("*") if path.parent.name != "models")


def refusing(field):
    def behave(handler, body):
        refusal = answer(400, {"error": {"message": f"Unrecognized request argument supplied: {field}"}})
        (refusal if field in body else echo_seed)(handler, body)

    return behave
