"""TLS between a driver and its agents: a certificate that the driver makes for itself, pinned by its fingerprint.

Nobody signs it and no name in it counts. The invitation, which reaches the agent on another way (ssh, Ray, a pipe), says which
certificate the driver has, and the agent talks to no other. So there is no authority to be set up and nothing to expire.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import socket
import ssl
import tempfile
from pathlib import Path
from typing import NamedTuple

from headway.extras import explain_missing
from headway.pools.agents.wire.proof import NotProven

_YEAR = datetime.timedelta(days=365)


class Certificate(NamedTuple):
    """What a driver listens with."""

    context: ssl.SSLContext
    fingerprint: bytes


def make_certificate() -> Certificate:
    """A new key and a certificate for it, kept in memory only. Raises UsageError where the library for it is missing."""
    with explain_missing("An agent on another machine"):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "headway driver")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _YEAR)  # clocks differ, and nobody looks at it
        .not_valid_after(now + 10 * _YEAR)
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(serialization.Encoding.PEM)
    with tempfile.TemporaryDirectory(prefix="headway-key-") as folder:  # ssl takes keys from files only; 0700
        file = Path(folder, "pem")
        file.touch(mode=0o600)
        file.write_bytes(secret)
        context.load_cert_chain(file)
    return Certificate(context, hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).digest())


def connect_pinned(sock: socket.socket, fingerprint: bytes) -> ssl.SSLSocket:
    """Speak TLS with the driver that has this certificate. Raises NotProven for any other, before anything is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the fingerprint says more than a name
    secure = context.wrap_socket(sock)
    found = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").digest()
    if not hmac.compare_digest(found, fingerprint):
        secure.close()
        raise NotProven("whoever listens there has another certificate than the invitation says")
    return secure
