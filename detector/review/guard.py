"""Access control: only the page whose address this process printed, in a browser on this machine, is answered.

Every page that is open in the browser can send requests to a server on the loopback address. Therefore each address
begins with a secret token; the headers ``Host`` and ``Origin`` must name this server, which refuses requests of other
pages and foreign names bound to the loopback address (DNS rebinding); and answers forbid the browser to load or run
anything from elsewhere.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence

HOST = "127.0.0.1"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Headers of every answer."""


def new_token() -> str:
    """Return a random token of 32 bytes."""
    return secrets.token_urlsafe(32)


class Guard:
    """Refuses requests that are not from this server's page.

    Args:
        port: of the server.
        token: that its addresses begin with.
    """

    def __init__(self, port: int, token: str) -> None:
        """Derive the names of this server."""
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        self._token = token.encode("ascii")

    def refusal(self, method: str, path: str, headers: Mapping[str, Sequence[str]]) -> str:
        """Return why a request is refused; "" if it is not.

        Args:
            method: "GET" or "POST".
            path: of the address, with the token first.
            headers: all values of each header, by its name in lower case.
        """
        hosts = headers.get("host", ())
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return "This server answers to its own address only."
        origins = headers.get("origin", ())
        if method != "GET" and len(origins) != 1:
            return "This request does not say which page it is from."
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return "This request is from another page."
        destination = tuple(headers.get("sec-fetch-dest", ()))
        is_navigation = method == "GET" and destination == ("document",)  # a link to the page
        sites = headers.get("sec-fetch-site", ())
        if not is_navigation and any(site not in ("same-origin", "none") for site in sites):
            return "This request is from another page."
        token = path.removeprefix("/").partition("/")[0].encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(token, self._token):
            return "The address lacks its token: open the one that `detector review` printed."
        return ""
