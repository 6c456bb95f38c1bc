"""The connection to Braze as it is in life: encrypted, and only with whom the certificate names."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from email_automation.braze_standin import defaults
from email_automation.braze_standin.server import BrazeStandIn
from email_automation.channels.braze_client import PATH, _Bearer
from email_automation.channels.wire import Answer, Broken, NotWritten, Wire


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, which nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Braze stand-in")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def server(certificate: Path) -> Iterator[BrazeStandIn]:
    stand_in = BrazeStandIn()
    stand_in.bind()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = stand_in._listener
    assert listener is not None
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    with stand_in.running():
        yield stand_in


def post(wire: Wire, server: BrazeStandIn, *, timeout: float = 5) -> Answer:
    return wire.post(
        server.url.replace("http://", "https://") + PATH,
        b"{}",
        content_type="application/json",
        auth=_Bearer(defaults.KEY),
        timeout=(timeout, timeout),
    )


@pytest.fixture
def trusting(certificate: Path) -> Wire:
    wire = Wire()
    wire._session().verify = str(certificate)
    return wire


def test_a_certificate_that_nobody_has_signed_gets_nothing(server: BrazeStandIn) -> None:
    with pytest.raises(NotWritten, match="SSLCertVerificationError"):
        post(Wire(), server)
    assert server.requests == []


def test_one_connection_carries_many_requests(server: BrazeStandIn, trusting: Wire) -> None:
    assert [post(trusting, server).status for _ in range(3)] == [400, 400, 400]
    assert len(server._listener._open) == 1  # type: ignore[union-attr]  # it runs


def test_what_breaks_after_the_request_is_known_as_that(server: BrazeStandIn, trusting: Wire) -> None:
    server.fail_next(close=True, accept=False)
    with pytest.raises(Broken):
        post(trusting, server)
    server.fail_next(hang=True, accept=False)
    with pytest.raises(Broken):
        post(trusting, server, timeout=0.3)
    assert len(server.requests) == 2
    assert post(trusting, server).status == 400


def test_a_kept_connection_that_was_closed_is_replaced(server: BrazeStandIn, trusting: Wire) -> None:
    assert post(trusting, server).status == 400
    server.drop_connections()
    assert post(trusting, server).status == 400


def test_another_process_opens_a_connection_of_its_own(
    server: BrazeStandIn, trusting: Wire, monkeypatch: Any, certificate: Path
) -> None:
    post(trusting, server)
    parents = trusting._session()
    monkeypatch.setattr("email_automation.channels.wire.os.getpid", lambda: -1)
    trusting._session().verify = str(certificate)
    post(trusting, server)
    assert trusting._session() is not parents
    assert len(server._listener._open) == 2  # type: ignore[union-attr]  # as above
