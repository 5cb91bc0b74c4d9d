"""Trust in servers: verified TLS connections, also to a server that leaves certificates of its chain out.

Such a server sends its own certificate alone, and browsers fetch the issuer's from the address that stands in it
(RFC 5280, 4.2.2.1). `missing_issuers` does the same. What it fetches is a step of the chain and never its end: a chain
must still end at a root that this machine trusts, so whoever answers on that address can break the connection, not
vouch for it.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from dfad.errors import DataError

MOST_ISSUERS = 4  # chains are two or three certificates long
MOST_BYTES = 1 << 16  # of a certificate
TIMEOUT_S = 20.0
_NO_ISSUER = (20, 21)  # OpenSSL's X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, …_VERIFY_LEAF_SIGNATURE


def make_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Make a context that verifies every server: name, dates, and a chain up to a root.

    Args:
        ca_file: PEM certificates beside the system's: roots to trust, and steps between them and a server.

    Raises:
        DataError: if there are no certificates in the file.
    """
    context = ssl.create_default_context()
    # from Python 3.13 on, this flag lets every certificate that is known, however it came here, end a chain
    context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise DataError(f"{ca_file} holds no certificates in PEM form: {error}") from None
    return context


def lacks_issuer(error: BaseException) -> bool:
    """Whether a connection failed because the server left out who issued its certificate."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _NO_ISSUER


def missing_issuers(url: str) -> list[x509.Certificate]:
    """Fetch the certificates between a server's own and the root, from the addresses that they name.

    Raises:
        DataError: if the first of them cannot be had, or did not sign the server's certificate.
    """
    place = urlsplit(url)
    try:  # a handshake that verifies nothing and carries nothing: it shows the certificate, which is public
        pem = ssl.get_server_certificate((place.hostname or "", place.port or 443), timeout=TIMEOUT_S)
    except OSError as error:
        raise DataError(f"the server's certificate cannot be read: {error}") from None
    below, found = x509.load_pem_x509_certificate(pem.encode()), list[x509.Certificate]()
    while len(found) < MOST_ISSUERS:
        try:
            issuer = _issuer(below)
        except DataError:
            if found:  # the last one's issuer is perhaps a root that is known here
                break
            raise
        if _folded(issuer.issuer) == _folded(issuer.subject):  # roots are trusted only if they were before
            break
        found.append(issuer)
        below = issuer
    return found


def _folded(name: x509.Name) -> list[tuple[str, str]]:
    """A name as OpenSSL compares it: neither case nor the number of blanks counts (RFC 5280, 7.1)."""
    return [(part.oid.dotted_string, " ".join(str(part.value).split()).casefold()) for part in name]


def add_issuers(context: ssl.SSLContext, issuers: list[x509.Certificate]) -> None:
    """Let a context use the certificates as steps of a chain."""
    context.load_verify_locations(cadata="".join(issuer.public_bytes(Encoding.PEM).decode() for issuer in issuers))


def _issuer(certificate: x509.Certificate) -> x509.Certificate:
    """Fetch the certificate that signed another one."""
    try:
        access = certificate.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
    except x509.ExtensionNotFound:
        access = x509.AuthorityInformationAccess([])
    assert isinstance(access, x509.AuthorityInformationAccess)
    places = [
        entry.access_location.value
        for entry in access
        if entry.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(entry.access_location, x509.UniformResourceIdentifier)
        and entry.access_location.value.lower().startswith("http://")  # as the standard has it; the signature protects
    ]
    reasons = ["it names no address of its issuer"] if not places else []
    for place in places:
        try:
            for issuer in _parse(_get(place)):
                certificate.verify_directly_issued_by(issuer)
                return issuer
        except (OSError, ValueError, TypeError, InvalidSignature) as error:
            why = error.reason if isinstance(error, URLError) else error
            reasons.append(f"{place}: {str(why) or 'not who signed it'}")
    raise DataError("; ".join(reasons))


def _get(url: str) -> bytes:
    with urlopen(Request(url, headers={"User-Agent": "dfad"}), timeout=TIMEOUT_S) as answer:
        return bytes(answer.read(MOST_BYTES))


def _parse(found: bytes) -> list[x509.Certificate]:
    """Read a certificate in any of the forms in which issuers publish it."""
    if found.startswith(b"-----BEGIN"):
        return x509.load_pem_x509_certificates(found)
    try:
        return [x509.load_der_x509_certificate(found)]
    except ValueError:
        return load_der_pkcs7_certificates(found)
