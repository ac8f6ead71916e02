"""How a server is reached."""
from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from os import PathLike
from typing import Any

import grpc

# A client has a connection of its own, which ends with it.
_OPTIONS: tuple[tuple[str, Any], ...] = (("grpc.use_local_subchannel_pool", 1),)


@dataclass(frozen=True)
class TLS:
    """Certificates, as PEM files.

    `ca_file`: the authorities of the server's certificate; without one, those that gRPC brings.
    `certificate_file` and `key_file`: the client's own, for a server that wants one.
    `server_name`: what the server's certificate says, where that is not its address.
    """

    ca_file: str | PathLike[str] | None = None
    certificate_file: str | PathLike[str] | None = None
    key_file: str | PathLike[str] | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        return grpc.ssl_channel_credentials(_read(self.ca_file), _read(self.key_file),
                                            _read(self.certificate_file))


def _read(path: str | PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


def _stays_here(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return address.startswith("unix:") or host == "localhost" or (
            ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def metadata(address: str, token: str | None, tls: TLS | None,
             plaintext_token: bool) -> tuple[tuple[str, str], ...]:
    """What goes with each call."""
    if token is None:
        return ()
    if not token or not token.isascii() or not token.isprintable():
        raise ValueError("a token is printable ASCII")
    if tls is None and not plaintext_token and not _stays_here(address):
        raise ValueError("a token would cross the network in plain text: pass tls, or "
                         "plaintext_token=True where something else protects it")
    return (("authorization", f"Bearer {token}"),)


def open_channel(module: Any, address: str, tls: TLS | None) -> Any:
    """`module` is grpc or grpc.aio."""
    if tls is None:
        return module.insecure_channel(address, options=_OPTIONS)
    options = _OPTIONS
    if tls.server_name is not None:
        options += (("grpc.ssl_target_name_override", tls.server_name),)
    return module.secure_channel(address, tls.credentials(), options=options)
