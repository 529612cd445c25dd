"""The keys and certificates of one cluster, elliptic-curve ones because making RSA keys costs seconds.

The authority carries keyUsage and basicConstraints: OpenSSL's strict mode (the default from Python 3.13) refuses one
without.
"""

import base64
import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.state import State

_LIFETIME = datetime.timedelta(days=365)
_EARLY = datetime.timedelta(minutes=5)


@dataclass(frozen=True)
class Authority:
    """A certificate authority in memory: its key is never written, so nobody can sign with it later."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, name: str) -> "Authority":
        """Make a self-signed authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage(sign=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return cls(key, builder.sign(key, hashes.SHA256()))

    def issue(self, common_name: str, organization: str = "", names: Sequence[str] = ()) -> tuple[bytes, bytes]:
        """Sign a certificate: for a server when `names` (DNS names and addresses) are given, else for a client.

        Returns:
            The certificate and its key, PEM.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = _builder(subject, self.certificate.subject, key)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(sign=False), critical=True)
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(authority, critical=False)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
        return pem(builder.sign(self.key, hashes.SHA256())), key_pem(key)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + _LIFETIME)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def pem(certificate: x509.Certificate) -> bytes:
    """The certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def kubeconfig(server: str, authority: bytes, certificate: bytes, key: bytes, name: str) -> str:
    """A kubeconfig with everything embedded, so that the file can be copied elsewhere."""

    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": encoded(authority)}}],
        "users": [
            {"name": name, "user": {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}}
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    return yaml.safe_dump(document, sort_keys=False)


def _write(file: Path, data: bytes | str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(data if isinstance(data, bytes) else data.encode())


_CLIENTS = {
    "admin": ("modelservice-admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
}
_NODE_CLIENTS = {
    "kubelet": ("system:node:{node}", "system:nodes"),
    "kube-proxy": ("system:kube-proxy", ""),
    "coredns": ("system:coredns", ""),
}


def write_keys(state: State, node: str) -> None:
    """Make every key of the cluster: `pki/` for the servers, one kubeconfig for each client."""
    folder = state.folder / "pki"
    authority, front = (
        Authority.create(f"modelservice {state.name}"),
        Authority.create(f"modelservice {state.name} front proxy"),
    )
    names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ]
    addresses = [state.first_service, "127.0.0.1", state.host_address]
    certificate, key = authority.issue("kube-apiserver", names=[*names, *addresses])
    _write(folder / "ca.crt", pem(authority.certificate))
    _write(folder / "front-proxy-ca.crt", pem(front.certificate))
    _write(folder / "api.crt", certificate)
    _write(folder / "api.key", key)
    for file, pair in {
        "kubelet-client": authority.issue("kube-apiserver-kubelet-client", "system:masters"),
        "front-proxy": front.issue("front-proxy-client"),
    }.items():
        _write(folder / f"{file}.crt", pair[0])
        _write(folder / f"{file}.key", pair[1])
    accounts = ec.generate_private_key(ec.SECP256R1())
    _write(folder / "accounts.key", key_pem(accounts))
    public = accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write(folder / "accounts.pub", public)
    clients = {**_CLIENTS, **(_NODE_CLIENTS if state.mode == "node" else {})}
    for client, (common_name, organization) in clients.items():
        certificate, key = authority.issue(common_name.format(node=node), organization)
        text = kubeconfig(state.server_url, pem(authority.certificate), certificate, key, state.name)
        _write(state.folder / f"{client}.kubeconfig", text)
        if client == "admin":
            _write(folder / "admin.crt", certificate)
            _write(folder / "admin.key", key)
