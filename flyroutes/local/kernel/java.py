"""The authorities that Java trusts: it reads no PEM file and no variable, but a key store of its JDK's."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

from flyroutes.local.kernel import root

if TYPE_CHECKING:
    from collections.abc import Iterator

STORE = "/etc/ssl/certs/java-cacerts.p12"
"""What lies over the store of each JDK, for one that is not found there: -Djavax.net.ssl.trustStore=FILE."""
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def trust(bundle: bytes) -> None:
    """Let the host's JDKs trust these certificates (PEM); nothing happens when there is no JDK.

    By a file that Java reads by default: JAVA_TOOL_OPTIONS would put a line into what each program says.
    """
    if stores := set(_stores()):
        Path(STORE).write_bytes(_key_store(bundle))
        for store in stores:
            root.bind(STORE, store)


def _stores() -> Iterator[str]:
    """Find the stores of the JDKs in Debian's and Fedora's place, in JAVA_HOME, and of the one on the path.

    Several JDKs may share one through links, as Debian's do.
    """
    homes = list(Path("/usr/lib/jvm").glob("*"))
    if chosen := os.environ.get("JAVA_HOME"):
        homes.append(Path(chosen))
    if java := shutil.which("java"):
        homes.append(Path(java).resolve().parents[1])
    for home in homes:
        for pattern in ("lib/security/*cacerts", "jre/lib/security/*cacerts"):
            # On a network within a network links of /etc lead nowhere.
            yield from (os.path.realpath(store) for store in home.glob(pattern) if os.path.isfile(store))


def _key_store(bundle: bytes) -> bytes:
    """Make a PKCS12 store of them without a password: Java has none for a store that it has found itself."""
    certificates = [pkcs12.PKCS12Certificate(one, None) for one in _certificates(bundle)]
    return pkcs12.serialize_java_truststore(certificates, NoEncryption())


def _certificates(bundle: bytes) -> Iterator[x509.Certificate]:
    # A host may trust a certificate that breaks RFC 5280: no reason to warn, nor to do without the others.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in _PEM.findall(bundle):
            with suppress(ValueError):
                yield x509.load_pem_x509_certificate(text)
