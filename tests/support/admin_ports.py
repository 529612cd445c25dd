"""Stand-ins for the admin ports of pods: real HTTP servers on loopback addresses, with metrics that tests set."""

import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from modelservice_operator.api.contract import ADMIN_PORT


def loopback_network() -> str:
    """Three numbers of an address that no other test is likely to use."""
    return f"127.{random.randint(1, 254)}.{random.randint(1, 254)}"


def exposition(queued: float, running: float = 0, tokens: float = 0, finished: float | None = None) -> str:
    """What the runtime's `/metrics` says, in short; without `finished` it does not count calls."""
    calls = f'# TYPE inference_requests_total counter\ninference_requests_total{{code="200"}} {finished}\n'
    return ("" if finished is None else calls) + (
        "# TYPE inference_requests_queued gauge\n"
        f'inference_requests_queued{{model="chat",task="chat"}} {queued}\n'
        "# TYPE inference_requests_running gauge\n"
        f'inference_requests_running{{model="chat",task="chat"}} {running}\n'
        "# TYPE inference_tokens_total counter\n"
        f'inference_tokens_total{{direction="prompt",model="chat"}} {tokens * 10}\n'
        f'inference_tokens_total{{direction="completion",model="chat"}} {tokens}\n'
    )


class AdminPort:
    """One pod's port. `text` is what every page answers, empty for an error; `path` is what was asked for last."""

    def __init__(self, address: str, text: str, port: int = ADMIN_PORT) -> None:
        self.address, self.text, self.asked, self.path = address, text, 0, ""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.asked += 1
                owner.path = self.path
                self.send_response(200 if owner.text else 500)
                self.end_headers()
                self.wfile.write(owner.text.encode())

            def log_message(self, *arguments: object) -> None:
                return

        self._server = ThreadingHTTPServer((address, port), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
