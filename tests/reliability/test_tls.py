"""HTTPS: certificates of the environment are trusted, others are not, whatever is sent and however it is encoded."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from faultserver import completion

from omnilabs.errors import TransportError

if TYPE_CHECKING:
    from conftest import Omni


class Counting(BaseHTTPRequestHandler):
    """Answers, compressed, with the number of bytes it was asked."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        said = json.loads(self.rfile.read(length))["messages"][0]["content"]
        body = gzip.compress(json.dumps(completion(f"{len(said)} letters")).encode())
        self.send_response(200)
        for name, value in {"content-type": "application/json", "content-encoding": "gzip"}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def address(authority: trustme.CA) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://localhost:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


def test_a_certificate_of_the_environment_is_trusted(
    omni: Omni, authority: trustme.CA, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    client = omni.client(providers={"local": {"base_url": address, "api_key": "test-key"}}, max_retries=0)
    for letters in (5, 200_000):
        answer = client.chat([{"role": "user", "content": "x" * letters}], "local/m")
        assert answer.content == f"{letters} letters"


def test_a_certificate_nobody_vouches_for_is_refused_and_never_tried_again(omni: Omni, address: str):
    client = omni.client(providers={"local": {"base_url": address, "api_key": "test-key"}})
    with pytest.raises(TransportError) as caught:
        client.chat([{"role": "user", "content": "x"}], "local/m")
    assert caught.value.phase == "tls"
    assert not caught.value.retryable
    assert len(caught.value.attempts) == 1
