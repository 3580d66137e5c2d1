"""How a server over HTTP tells who calls: the settings, and what the MCP SDK makes of them."""

import hashlib
import os
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.routes import create_protected_resource_routes
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import RequestStateSecurity
from pydantic import AnyHttpUrl, ValidationError
from starlette.routing import Route

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.serving.access.tokens import (
    READ_SCOPE,
    SCOPES,
    AnyOf,
    IssuedTokens,
    SharedToken,
)
from sam3i_agent.tools.serving.addresses import TOKEN_VARIABLE
from sam3i_agent.tools.serving.health import Dependency

MIN_TOKEN_CHARACTERS = 16
_NAME = "sam3i: segment by instruction"


@dataclass(frozen=True)
class Access:
    """Who may call.

    Args:
        token: for all who know it; empty where there is none.
        issuer: URL of an OAuth 2.1 issuer, whose tokens tell users apart; None where there is none.
        audience: that its tokens must be for: the URL under which clients reach the server.
        state_key: seals what a client carries between the rounds of a call. All front ends of a
            service need the same; made here where it is not given.

    Raises:
        InputError: the token is too short, or the issuer and the audience do not go together.
    """

    token: str = ""
    issuer: str | None = None
    audience: str | None = None
    state_key: str = field(default_factory=lambda: secrets.token_hex(32))

    def __post_init__(self) -> None:
        if self.token and len(self.token) < MIN_TOKEN_CHARACTERS:
            raise InputError(
                f"{TOKEN_VARIABLE} must have {MIN_TOKEN_CHARACTERS} characters or more"
            )
        if (self.issuer is None) is not (self.audience is None):
            raise InputError("--auth-issuer and --auth-audience go together")
        _ = self.issued  # says what is wrong before anything starts

    @cached_property
    def issued(self) -> IssuedTokens | None:
        """What checks the issuer's tokens; None where there is no issuer."""
        if self.issuer is None or self.audience is None:
            return None
        return IssuedTokens(self.issuer, self.audience)

    @classmethod
    def from_environment(cls, issuer: str | None, audience: str | None) -> "Access":
        """Return the access with the token of `SAM3I_TOKEN`.

        With a token, a call that goes on after a question survives a restart, too.

        Raises:
            InputError: as the class.
        """
        token = os.environ.get(TOKEN_VARIABLE, "")
        if not token:
            return cls("", issuer, audience)
        return cls(token, issuer, audience, f"state {token}")

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked for anything."""
        return not self.token and self.issuer is None

    def options_of(self, address: str) -> dict[str, Any]:
        """Return what `build_server` takes.

        Args:
            address: of the server's endpoint, where the audience is no URL.
        """
        if self.is_open:
            return {}
        url = self._resource(address)
        return {
            "auth": AuthSettings(
                issuer_url=AnyHttpUrl(self.issuer) if self.issuer else url,
                resource_server_url=url,
                required_scopes=[READ_SCOPE],
                validate_token_resource=False,  # the audience is checked with the signature
            ),
            "token_verifier": self._verifier(),
            "request_state_security": RequestStateSecurity(
                keys=[hashlib.sha256(self.state_key.encode()).digest()]
            ),
        }

    def routes_of(self, address: str) -> list[Route]:
        """Return the metadata that say to clients where to get a token (RFC 9728)."""
        if self.issuer is None:
            return []
        return create_protected_resource_routes(
            self._resource(address), [AnyHttpUrl(self.issuer)], list(SCOPES), _NAME
        )

    def dependencies(self) -> list[Dependency]:
        """Return the issuer, where there is one: without its keys no token can be checked."""
        return [] if self.issued is None else [Dependency("issuer", self.issued.check)]

    def _resource(self, address: str) -> AnyHttpUrl:
        try:
            return AnyHttpUrl(self.audience or address)
        except ValidationError:
            return AnyHttpUrl(address)

    def _verifier(self) -> TokenVerifier:
        known: list[TokenVerifier] = [SharedToken(self.token)] if self.token else []
        return AnyOf(known if self.issued is None else [*known, self.issued])
