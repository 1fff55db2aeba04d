"""A real broker that asks for TLS and a login, with certificates made for the occasion."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from embedded import EmbeddedKafka
from embedded.probe import HOST, free_ports
from tests.worker import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

USER = "reels"
#: Characters that are none of a password's business to be careful with.
PASSWORD = "p%ss w=rd;,:@/\"'\\$é-5f1c"
PROTOCOLS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True)
class SecuredBroker:
    """The same broker behind four listeners: three secured ones, and an open one for the tests."""

    kafka: EmbeddedKafka
    ports: Mapping[str, int]
    authority: Path
    #: Certificates of somebody else.
    stranger: Path

    def environment(self, protocol: str = "SASL_SSL", **changes: str) -> dict[str, str]:
        """Return the program's settings for one of the listeners."""
        settings = {
            "BROKER_URL": f"kafka://{HOST}:{self.ports[protocol]}",
            "REELS_SECURITY_PROTOCOL": protocol,
        }
        if protocol.startswith("SASL_"):
            settings["REELS_SASL_MECHANISM"] = "SCRAM-SHA-512"
            settings["REELS_SASL_USERNAME"] = USER
            settings["REELS_SASL_PASSWORD"] = PASSWORD
        if protocol.endswith("SSL"):
            settings["REELS_SSL_CAFILE"] = str(self.authority)
        return {**settings, **changes}


def _jaas(module: str, **options: str) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    pairs = " ".join(f"{name}={quoted(text)}" for name, text in options.items())
    return f"org.apache.kafka.common.security.{module} required {pairs};"


def _properties(ports: Mapping[str, int], certificate: trustme.LeafCert) -> dict[str, str]:
    listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
    kinds = {"BROKER": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"} | {name: name for name in PROTOCOLS}
    # Kafka wants PKCS #8, and a certificate made here comes otherwise.
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    properties = {
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": ",".join(f"{a}:{b}" for a, b in kinds.items()),
        "controller.quorum.voters": f"1@{HOST}:{ports['CONTROLLER']}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": "".join(
            pem.bytes().decode() for pem in certificate.cert_chain_pems
        ),
        "ssl.keystore.key": key.decode(),
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
    }
    for listener in ("sasl_plaintext", "sasl_ssl"):
        prefix = f"listener.name.{listener}"
        properties[f"{prefix}.plain.sasl.jaas.config"] = _jaas(
            "plain.PlainLoginModule", **{f"user_{USER}": PASSWORD}
        )
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            properties[f"{prefix}.{mechanism}.sasl.jaas.config"] = _jaas("scram.ScramLoginModule")
    return properties


@contextmanager
def secured_broker(folder: Path) -> Iterator[SecuredBroker]:
    """Run a broker with TLS and logins; ``folder`` gets the certificates."""
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    own, strangers = folder / "ca.pem", folder / "stranger.pem"
    authority.cert_pem.write_to_path(own)
    trustme.CA().cert_pem.write_to_path(strangers)
    names = ("BROKER", "CONTROLLER", *PROTOCOLS)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    properties = _properties(ports, authority.issue_cert(HOST))
    with EmbeddedKafka(ports["BROKER"], properties=properties) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            change = UserScramCredentialUpsertion(
                USER, ScramCredentialInfo(mechanism, 4096), PASSWORD.encode()
            )
            admin.alter_user_scram_credentials([change])[USER].result(TIMEOUT)
        yield SecuredBroker(kafka, ports, own, strangers)
