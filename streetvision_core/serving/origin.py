"""Where a request comes from: this machine or elsewhere, from which address, under which name, from which web page."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from starlette.types import Scope

KEY: Final = "streetvision.origin"
CALLER: Final = "streetvision.caller"
CHARGE: Final = "streetvision.charge"
_PROXIES: Final = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
"""What a proxy adds; a caller on this machine sends none of it."""
_V6_PREFIX: Final = 64
"""Bits of an IPv6 address that one caller has."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from.

    Attributes:
        address: of the caller, as far as it can be believed; one for each IPv6 network of 64 bits.
        here: whether it comes from this machine, and not through a proxy on it.
        hosts: values of `Host`; there must be exactly one.
        page: the value of `Origin`: the web page that asks, if one does.
        site: the value of `Sec-Fetch-Site`.
        mode: the value of `Sec-Fetch-Mode`.
        request_id: what the caller or its proxy calls the request.
    """

    address: str
    here: bool
    hosts: tuple[bytes, ...]
    page: bytes | None
    site: bytes | None
    mode: bytes | None
    request_id: bytes | None


def read_origin(scope: Scope, behind_proxy: bool) -> Origin:
    """Reads it from a request.

    Args:
        scope: the request; HTTP/1.0 is what a proxy speaks that nobody told anything else (nginx), so it is not local.
        behind_proxy: every request comes through a proxy of ours, whose last word on the address is believed.
    """
    found: dict[bytes, bytes] = {}
    hosts: list[bytes] = []
    for name, value in scope["headers"]:
        if name == b"host":
            hosts.append(value)
        else:
            found[name] = value
    client = scope.get("client")
    peer = client[0] if client else ""
    here = (
        not behind_proxy
        and scope.get("http_version") != "1.0"
        and is_loopback(peer)
        and all(is_loopback(host_name(host)) for host in hosts)
        and not any(name in found for name in _PROXIES)
    )
    address = _forwarded(found) or peer if behind_proxy else peer
    page, site, mode = (found.get(name) for name in (b"origin", b"sec-fetch-site", b"sec-fetch-mode"))
    return Origin(network_of(address), here, tuple(hosts), page, site, mode, found.get(b"x-request-id"))


def origin_of(scope: Scope) -> Origin:
    """The origin that `wall` read, or, where there is no wall, one read now."""
    known = scope.get(KEY)
    return known if isinstance(known, Origin) else read_origin(scope, behind_proxy=False)


def caller_of(scope: Scope) -> str:
    """Whose request it is, for fair shares: the name of its key, else its address."""
    name = scope.get(CALLER)
    if name is not None:
        return f"key {name}"
    origin = scope.get(KEY)
    return origin.address if isinstance(origin, Origin) else ""


def charge_images(scope: Scope, images: int) -> None:
    """Takes what several images cost from the caller's rate, of which one request has paid for one."""
    charge = scope.get(CHARGE)
    if charge is not None and images > 1:
        charge(images - 1)


@lru_cache(4096)
def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only.

    Example:
        >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
        [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@lru_cache(4096)
def host_name(host: bytes) -> str:
    """The name in a `Host` header, or in an origin without its scheme: lower case, no port, no brackets.

    Example:
        >>> host_name(b"LOCALHOST:8080"), host_name(b"[::1]:8080"), host_name(b"example.org.")
        ('localhost', '::1', 'example.org')
    """
    text = host.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


@lru_cache(4096)
def network_of(address: str) -> str:
    """What counts as one caller: an IPv4 address, or an IPv6 network of 64 bits.

    Example:
        >>> network_of("203.0.113.9"), network_of("2001:db8:1:2:3:4:5:6"), network_of("nonsense")
        ('203.0.113.9', '2001:db8:1:2::/64', '')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if parsed.version == 4 or parsed.is_loopback:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _V6_PREFIX), strict=False))


def is_known_host(name: str, names: Iterable[str]) -> bool:
    """Whether a name is one under which we may be asked.

    A web page of a stranger can let its own name point to this machine (DNS rebinding), but it cannot change that the
    browser sends this name: addresses, `localhost` and what the settings name are safe.

    Example:
        >>> [is_known_host(n, ["cones.example"]) for n in ("192.0.2.7", "localhost", "cones.example", "evil.example")]
        [True, True, True, False]
    """
    if name == "localhost" or name.endswith(".localhost") or name in names or "*" in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _forwarded(headers: dict[bytes, bytes]) -> str:
    """The address that the proxy before us wrote; what stands before it a caller may have made up."""
    chain = headers.get(b"x-forwarded-for", headers.get(b"x-real-ip", b""))
    return chain.decode("latin-1").rpartition(",")[2].strip()
