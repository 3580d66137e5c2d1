"""Bearer tokens: one that the server's owner gives out, or JWTs of an OAuth 2.1 issuer."""

import asyncio
import hmac
import json
import logging
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import jwt
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier

from sam3i_agent.core.errors import InputError, TryAgainError

logger = logging.getLogger(__name__)

READ_SCOPE = "sam3i:read"
"""Look at one's results."""
COMPUTE_SCOPE = "sam3i:compute"
"""Ask the model."""
SCOPES = (READ_SCOPE, COMPUTE_SCOPE)
SHARED_CLIENT = "sam3i"
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Signatures by a key that only the issuer has."""
_REQUIRED = ("exp", "iss", "aud", "sub")
_LEEWAY_S = 10
"""For clocks that differ."""
_KEYS_LIVE_S = 600
_ISSUER_S = 5
"""For the issuer to answer."""
_MAX_TOKEN_CHARACTERS = 16_384
_MAX_METADATA_BYTES = 1 << 20
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class SharedToken:
    """Accepts one token, known to the server's owner.

    Args:
        token: which may do everything.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    async def verify_token(self, token: str) -> AccessToken | None:
        """Compare in constant time."""
        if hmac.compare_digest(token.encode(), self._token.encode()):
            return AccessToken(token=token, client_id=SHARED_CLIENT, scopes=list(SCOPES))
        return None


class IssuedTokens:
    """Accepts JWTs that an issuer has made for this server.

    Its keys are fetched at the first token, and again now and then.

    Args:
        issuer: the URL that tokens name, on https; on loopback http will do.
        audience: that tokens must be for.

    Raises:
        InputError: the issuer is no such URL.
    """

    def __init__(self, issuer: str, audience: str) -> None:
        parts = urlsplit(issuer)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        if not secure or not parts.hostname or parts.query or parts.fragment:
            raise InputError(f"the issuer must be an https URL, not {issuer!r}")
        if not audience:
            raise InputError("an issuer's tokens must be for somebody", "say --auth-audience")
        self.issuer = issuer
        self.audience = audience
        self._keys: jwt.PyJWKClient | None = None
        self._finding = threading.Lock()

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whose token it is; None where it is wrong in any way."""
        if len(token) > _MAX_TOKEN_CHARACTERS:
            return None
        try:
            claims = await asyncio.to_thread(self._claims, token)
        except (jwt.PyJWTError, OSError, ValueError) as error:
            logger.info("a token is refused: %s", error)
            return None
        return AccessToken(
            token=token,
            client_id=str(claims.get("client_id") or claims.get("azp") or claims["sub"]),
            scopes=_scopes_of(claims),
            expires_at=int(claims["exp"]),
            subject=claims["sub"],
            claims={"iss": claims["iss"]},
        )

    def _claims(self, token: str) -> dict[str, Any]:
        key = self._key_client().get_signing_key_from_jwt(token)
        return jwt.decode(
            token,
            key,
            algorithms=list(_ALGORITHMS),
            audience=self.audience,
            issuer=self.issuer,
            leeway=_LEEWAY_S,
            options={"require": list(_REQUIRED)},
        )

    def check(self) -> str:
        """Say that the issuer's keys are at hand.

        Raises:
            TryAgainError: they are not.
        """
        try:
            return f"{len(self._key_client().get_jwk_set().keys)} keys"
        except (jwt.PyJWTError, OSError, ValueError, KeyError) as error:
            logger.warning("the issuer's keys: %s", error)
            raise TryAgainError("its keys cannot be fetched", _ISSUER_S) from error

    def _key_client(self) -> jwt.PyJWKClient:
        with self._finding:
            if self._keys is None:
                address = _address_of_keys(self.issuer)
                self._keys = jwt.PyJWKClient(address, lifespan=_KEYS_LIVE_S, timeout=_ISSUER_S)
            return self._keys


class AnyOf:
    """Accepts what one of several verifiers accepts.

    Args:
        verifiers: asked in this order.
    """

    def __init__(self, verifiers: Sequence[TokenVerifier]) -> None:
        self._verifiers = verifiers

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what the first of them says."""
        for one in self._verifiers:
            found = await one.verify_token(token)
            if found is not None:
                return found
        return None


def caller_class() -> str:
    """Return of which kind the current caller is: nobody, token (the owner's) or user."""
    token = get_access_token()
    if token is None:
        return "nobody"
    return "token" if token.subject is None else "user"


def _scopes_of(claims: dict[str, Any]) -> list[str]:
    """Return the scopes of a token: one text as in RFC 9068, or a list as some issuers have it."""
    value = claims.get("scope", claims.get("scp", ""))
    return value.split() if isinstance(value, str) else [str(one) for one in value]


def _address_of_keys(issuer: str) -> str:
    """Ask the issuer where its keys are, as RFC 8414 says or as OpenID Connect does.

    Raises:
        OSError: it does not answer.
        ValueError: it answers for another issuer, or without keys.
    """
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    base = f"{parts.scheme}://{parts.netloc}"
    failure: Exception = ValueError("the issuer has no metadata")
    for address in (
        f"{base}/.well-known/oauth-authorization-server{path}",
        f"{base}{path}/.well-known/openid-configuration",
    ):
        try:
            wanted = Request(address, headers={"Accept": "application/json"})
            with urlopen(wanted, timeout=_ISSUER_S) as answer:
                metadata = json.loads(answer.read(_MAX_METADATA_BYTES))
        except (OSError, ValueError) as error:
            failure = error
            continue
        if not isinstance(metadata, dict) or metadata.get("issuer") != issuer:
            failure = ValueError("the metadata are another issuer's")
            continue
        return str(metadata["jwks_uri"])
    raise failure
