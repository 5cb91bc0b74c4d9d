"""Servers that leave certificates out are verified all the same, and nothing that anyone sends makes itself trusted."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from dfad.download import fetch
from dfad.errors import DataError
from tests.servers import Served, serving

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@dataclass
class Identity:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def issue(
    name: str, by: Identity | None, *, ca: bool = True, aia: str = "", days: int = 1, signed_as: str = ""
) -> Identity:
    """Make a certificate as RFC 5280 wants it, signed by another one or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, issuer_key = (by.certificate.subject, by.key) if by else (subject, key)
    if signed_as:
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, signed_as)])
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - 9 * DAY)
        .not_valid_after(NOW + days * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, decipher_only=False, **usage),
            critical=True,
        )
    )
    if not ca:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    if aia:
        place = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(aia))
        builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
    return Identity(builder.sign(issuer_key, hashes.SHA256()), key)


@dataclass
class World:
    """A web server that sends only its own certificate, and the place where its issuer's certificate lies."""

    folder: Path
    issuers: Served
    stack: ExitStack

    def trust(self, identity: Identity) -> Path:
        path = self.folder / "roots.pem"
        path.write_bytes(identity.pem)
        return path

    def open(self, leaf: Identity, *chain: Identity) -> Served:
        path = self.folder / "server.pem"
        key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(key + leaf.pem + b"".join(link.pem for link in chain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return self.stack.enter_context(serving(Served(b"content" * 1000), context))

    def complaint(self, served: Served, root: Identity) -> str:
        with pytest.raises(DataError) as error:
            fetch(served.url, self.folder / "file", ca_file=self.trust(root), waits=())
        assert not served.asked  # nothing was said over a connection that was not verified
        assert not (self.folder / "file").exists()
        return str(error.value)


@pytest.fixture(params=["", "3.13"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("no_proxy", "*")
    if request.param:  # the flags that its contexts have
        make = ssl.create_default_context

        def stricter() -> ssl.SSLContext:
            context = make()
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
            return context

        monkeypatch.setattr("ssl.create_default_context", stricter)
    with ExitStack() as stack:
        yield World(tmp_path, stack.enter_context(serving(Served(b""))), stack)


def test_a_whole_chain_needs_nothing(world: World) -> None:
    root = issue("root", None)
    middle = issue("middle", root)
    served = world.open(issue("leaf", middle, ca=False), middle)
    fetch(served.url, world.folder / "file", ca_file=world.trust(root))
    assert (world.folder / "file").read_bytes() == served.content


@pytest.mark.parametrize("form", ["der", "pem", "pkcs7"])
def test_a_missing_issuer_is_fetched_and_told(world: World, form: str) -> None:
    root = issue("root", None)
    middle = issue("middle", root)
    p7c = serialize_certificates([root.certificate, middle.certificate][1:], Encoding.DER)
    world.issuers.content = {"der": middle.der, "pem": middle.pem, "pkcs7": p7c}[form]
    served = world.open(issue("leaf", middle, ca=False, aia=world.issuers.url))
    said: list[str] = []
    fetch(served.url, world.folder / "file", ca_file=world.trust(root), say=said.append)
    assert (world.folder / "file").read_bytes() == served.content
    assert said == ["127.0.0.1 leaves out a certificate of its chain; it was fetched and will be verified: CN=middle"]


def test_two_missing_issuers_are_fetched(world: World) -> None:
    root = issue("root", None)
    with serving(Served(b"")) as further:
        upper = issue("upper", root)
        lower = issue("lower", upper, aia=further.url)
        further.content, world.issuers.content = upper.der, lower.der
        served = world.open(issue("leaf", lower, ca=False, aia=world.issuers.url))
        fetch(served.url, world.folder / "file", ca_file=world.trust(root))
    assert (world.folder / "file").read_bytes() == served.content


def test_a_chain_to_an_unknown_root_is_refused(world: World) -> None:
    known, unknown = issue("root", None), issue("root", None)  # the same name
    middle = issue("middle", unknown)
    world.issuers.content = middle.der
    text = world.complaint(world.open(issue("leaf", middle, ca=False, aia=world.issuers.url)), known)
    assert "does not lead to a trusted root" in text
    assert "--ca-file chain.pem, or use a browser" in text


@pytest.mark.parametrize("signed_as", ["", "STRANGER", " stranger "])  # OpenSSL takes these names for the same
def test_a_fetched_root_is_not_trusted(world: World, signed_as: str) -> None:
    known, unknown = issue("root", None), issue("stranger", None, signed_as=signed_as)
    world.issuers.content = unknown.der
    text = world.complaint(world.open(issue("leaf", unknown, ca=False, aia=world.issuers.url)), known)
    assert "its issuer is no authority that this machine trusts" in text


def test_an_issuer_that_did_not_sign_is_refused(world: World) -> None:
    root = issue("root", None)
    middle, other = issue("middle", root), issue("middle", root)
    world.issuers.content = other.der
    text = world.complaint(world.open(issue("leaf", middle, ca=False, aia=world.issuers.url)), root)
    assert "not who signed it" in text


def test_an_issuer_that_may_not_sign_is_refused(world: World) -> None:
    root = issue("root", None)
    middle = issue("middle", root, ca=False)
    world.issuers.content = middle.der
    text = world.complaint(world.open(issue("leaf", middle, ca=False, aia=world.issuers.url)), root)
    assert "does not lead to a trusted root" in text


def test_an_issuer_that_cannot_be_had_is_told(world: World) -> None:
    root = issue("root", None)
    middle = issue("middle", root)
    served = world.open(issue("leaf", middle, ca=False))
    assert "it names no address of its issuer" in world.complaint(served, root)
    served = world.open(issue("leaf", middle, ca=False, aia="https://127.0.0.1/x"))
    assert "it names no address of its issuer" in world.complaint(served, root)
    world.issuers.status = [404]
    served = world.open(issue("leaf", middle, ca=False, aia=world.issuers.url))
    assert "Not Found" in world.complaint(served, root)
    world.issuers.content = b"no certificate"
    served = world.open(issue("leaf", middle, ca=False, aia=world.issuers.url))
    assert "cannot be had" in world.complaint(served, root)


def test_other_faults_of_a_certificate_are_final(world: World) -> None:
    root = issue("root", None)
    text = world.complaint(world.open(issue("leaf", root, ca=False, days=-1)), root)
    assert "certificate has expired" in text
    assert "--ca-file" in text


def test_a_chain_may_be_given(world: World) -> None:
    root = issue("root", None)
    middle = issue("middle", root)
    served = world.open(issue("leaf", middle, ca=False))
    chain = world.folder / "chain.pem"
    chain.write_bytes(middle.pem + root.pem)
    fetch(served.url, world.folder / "file", ca_file=chain)
    assert (world.folder / "file").read_bytes() == served.content
    (world.folder / "text.pem").write_text("no certificate")
    for wrong in ("text.pem", "none.pem"):
        with pytest.raises(DataError, match="holds no certificates in PEM form"):
            fetch(served.url, world.folder / "other", ca_file=world.folder / wrong)


def test_no_redirection_leads_out_of_tls(world: World) -> None:
    root = issue("root", None)
    served = world.open(issue("leaf", root, ca=False))
    served.redirect = [world.issuers.url]
    with pytest.raises(DataError, match="which is not secure"):
        fetch(served.url, world.folder / "file", ca_file=world.trust(root))
    assert not world.issuers.asked
