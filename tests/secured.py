"""A real broker that requires TLS and a login, with newly made certificates."""

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
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from embedded import EmbeddedKafka
from embedded.probe import HOST
from tests.ports import reserve_ports
from tests.token_endpoint import AUDIENCE, TokenEndpoint, token_endpoint
from tests.worker import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

USER = "reels"
#: A password may contain any of these characters.
PASSWORD = "p%ss w=rd;,:@/\"'\\$é-5f1c"
PROTOCOLS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
#: Two more listeners: one requires a client certificate, one a token. The broker ends
#: connections to the latter after SESSION_MS, unless their client logs in again in time.
MUTUAL, TOKENS = "MUTUAL", "TOKENS"
LISTENERS = {name: name for name in PROTOCOLS} | {MUTUAL: "SSL", TOKENS: "SASL_PLAINTEXT"}
SESSION_MS = 5000


@dataclass(frozen=True)
class SecuredBroker:
    """One broker with several listeners: secured ones, and an open one for the tests."""

    kafka: EmbeddedKafka
    ports: Mapping[str, int]
    authority: Path
    #: The certificate of another authority.
    stranger: Path
    #: A client's certificate and its private key, which is encrypted with PASSWORD.
    certificate: Path
    key: Path
    tokens: TokenEndpoint

    def environment(self, listener: str = "SASL_SSL", **changes: str) -> dict[str, str]:
        """Return the program's settings for one of the listeners."""
        protocol = LISTENERS[listener]
        settings = {
            "BROKER_URL": f"kafka://{HOST}:{self.ports[listener]}",
            "REELS_SECURITY_PROTOCOL": protocol,
        }
        if listener == MUTUAL:
            settings["REELS_SSL_CERTFILE"] = str(self.certificate)
            settings["REELS_SSL_KEYFILE"] = str(self.key)
            settings["REELS_SSL_KEY_PASSWORD"] = PASSWORD
        if listener == TOKENS:
            settings |= self.tokens.environment()
        elif protocol.startswith("SASL_"):
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


def _key_of(certificate: trustme.LeafCert, password: str | None = None) -> str:
    """Return a private key in PKCS #8, as Kafka requires, encrypted if there is a password."""
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def _chain_of(certificate: trustme.LeafCert) -> str:
    return "".join(pem.bytes().decode() for pem in certificate.cert_chain_pems)


def _properties(
    ports: Mapping[str, int], authority: trustme.CA, tokens: TokenEndpoint
) -> dict[str, str]:
    listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
    kinds = {"BROKER": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"} | LISTENERS
    certificate = authority.issue_cert(HOST)
    properties = {
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": ",".join(f"{a}:{b}" for a, b in kinds.items()),
        "controller.quorum.voters": f"1@{HOST}:{ports['CONTROLLER']}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": _chain_of(certificate),
        "ssl.keystore.key": _key_of(certificate),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": authority.cert_pem.bytes().decode(),
        "listener.name.mutual.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
    }
    for listener in ("sasl_plaintext", "sasl_ssl"):
        prefix = f"listener.name.{listener}"
        properties[f"{prefix}.plain.sasl.jaas.config"] = _jaas(
            "plain.PlainLoginModule", **{f"user_{USER}": PASSWORD}
        )
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            properties[f"{prefix}.{mechanism}.sasl.jaas.config"] = _jaas("scram.ScramLoginModule")
    prefix = "listener.name.tokens"
    handler = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
    return {
        **properties,
        f"{prefix}.sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{prefix}.oauthbearer.sasl.jaas.config": _jaas("oauthbearer.OAuthBearerLoginModule"),
        f"{prefix}.oauthbearer.sasl.server.callback.handler.class": handler,
        f"{prefix}.oauthbearer.connections.max.reauth.ms": str(SESSION_MS),
        f"{prefix}.sasl.oauthbearer.jwks.endpoint.url": tokens.jwks_url,
        f"{prefix}.sasl.oauthbearer.expected.audience": AUDIENCE,
    }


@contextmanager
def secured_broker(folder: Path) -> Iterator[SecuredBroker]:
    """Run a broker with TLS and logins; write the certificates to ``folder``."""
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    own, strangers = folder / "ca.pem", folder / "stranger.pem"
    authority.cert_pem.write_to_path(own)
    trustme.CA().cert_pem.write_to_path(strangers)
    client = authority.issue_cert(USER, common_name=USER)
    certificate, key = folder / "client.pem", folder / "client-key.pem"
    certificate.write_text(_chain_of(client))
    key.write_text(_key_of(client, PASSWORD))
    names = ("BROKER", "CONTROLLER", *LISTENERS)
    ports = dict(zip(names, reserve_ports(len(names)), strict=True))
    with token_endpoint() as tokens:
        properties = _properties(ports, authority, tokens)
        # A broker fetches keys only from the addresses that its command line allows.
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={tokens.jwks_url}"
        with EmbeddedKafka(ports["BROKER"], properties=properties, jvm_flags=[allowed]) as kafka:
            admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                change = UserScramCredentialUpsertion(
                    USER, ScramCredentialInfo(mechanism, 4096), PASSWORD.encode()
                )
                admin.alter_user_scram_credentials([change])[USER].result(TIMEOUT)
            yield SecuredBroker(kafka, ports, own, strangers, certificate, key, tokens)
