"""An OAuth issuer of the tests' own: keys, metadata over HTTP, and tokens right and wrong."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

SCOPES = "sam3i:read sam3i:compute"
KEY_ID = "first"


class Issuer:
    """Signs tokens.

    Args:
        url: under which it is reached.
        audience: of its tokens.
    """

    def __init__(self, url: str, audience: str) -> None:
        self.url = url
        self.audience = audience
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self, subject: str, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
        """A good token, unless something is said otherwise; a claim of None is left out."""
        now = int(time.time())
        content = {
            "iss": self.url, "aud": self.audience, "sub": subject, "iat": now, "exp": now + 300,
            "scope": SCOPES, "client_id": "tests",
        }  # fmt: skip
        content = {name: one for name, one in (content | claims).items() if one is not None}
        signing = self.key if key is None else key
        return jwt.encode(content, signing, algorithm, headers={"kid": KEY_ID})

    def keys(self) -> dict[str, Any]:
        public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [public | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}]}


@contextmanager
def issuer(audience: str) -> Iterator[Issuer]:
    """Serve an issuer's metadata and keys."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = {
                "/.well-known/oauth-authorization-server": {
                    "issuer": made.url,
                    "jwks_uri": f"{made.url}/keys",
                },
                "/keys": made.keys(),
            }.get(self.path)
            self.send_response(200 if content else 404)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Issuer(f"http://127.0.0.1:{server.server_port}", audience)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
