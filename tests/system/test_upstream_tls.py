"""An upstream behind TLS: the fake vendor with certificates made here; and the way through a proxy."""

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from entrepot.prove.books import accepted
from entrepot.prove.client import chat_body
from entrepot.prove.compare import compare
from entrepot.prove.house import House
from entrepot.prove.processes import Running, start_vendor

_MORE = """
[upstream.wrong-name]
vendor = "fake"
endpoint = {{ dialect = "openai", url = "https://127.0.0.1:{port}/v1", zone = "EU", key = {{ file = "vendor.key" }} }}

[upstream.untrusted]
vendor = "fake"
endpoint = {{ dialect = "openai", url = "https://localhost:{other}/v1", zone = "EU", key = {{ file = "vendor.key" }} }}

[model.by-number]
routes = ["wrong-name/by-number"]
context = 128_000
output_max = 16_000

[model.by-stranger]
routes = ["untrusted/by-stranger"]
context = 128_000
output_max = 16_000

[[book.list]]
currency = "USD"
valid_from = 2026-02-01T00:00:00Z
prices = [{{ model = "by-number", input = 1, output = 1 }}, {{ model = "by-stranger", input = 1, output = 1 }}]
"""


def authority(folder: Path, name: str) -> Path:
    """A CA, and its certificate for the DNS name localhost: NAME.pem has certificate and key, NAME-ca.pem the CA."""
    now = datetime.datetime.now(datetime.UTC)

    def certificate(
        subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, ca: bool
    ) -> bytes:
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (subject, issuer)]
        usage = x509.KeyUsage(True, False, False, False, False, ca, ca, False, False)
        made = (
            x509.CertificateBuilder(names[1], names[0], key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if not ca:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        return made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    plain = leaf.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}-ca.pem").write_bytes(certificate(f"{name} CA", root, f"{name} CA", root, ca=True))
    path = folder / f"{name}.pem"
    path.write_bytes(certificate("localhost", leaf, f"{name} CA", root, ca=False) + plain)
    return path


class Relay:
    """Accepts, and joins each connection with another one: TLS in front of the vendor, or a proxy."""

    def __init__(self, join: Callable[[socket.socket], tuple[socket.socket, socket.socket]]) -> None:
        self._join = join
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            one, other = self._join(connection)
        except OSError:  # a handshake that the house broke off
            connection.close()
            return
        threading.Thread(target=_pump, args=(other, one), daemon=True).start()
        _pump(one, other)

    def close(self) -> None:
        self._listener.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def tls(vendor: Running, certificate: Path) -> Relay:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def join(connection: socket.socket) -> tuple[socket.socket, socket.socket]:
        return context.wrap_socket(connection, server_side=True), socket.create_connection(("127.0.0.1", vendor.port))

    return Relay(join)


class Place(NamedTuple):
    house: House
    ledger: Path
    asked: list[str]  # what the proxy was asked for


@contextlib.contextmanager
def place(folder: Path, *, proxied: bool) -> Iterator[Place]:
    vendor = start_vendor(folder / "ledger")
    good, stranger = (tls(vendor, authority(folder, name)) for name in ("good", "stranger"))
    asked: list[str] = []

    def tunnel(connection: socket.socket) -> tuple[socket.socket, socket.socket]:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        asked.append(head.split(b"\r\n")[0].decode())
        host, _, port = asked[-1].split()[1].rpartition(":")
        other = socket.create_connection((host, int(port)))
        connection.sendall(b"HTTP/1.1 200 Connection Established\r\n\r\n")
        return connection, other

    proxy = Relay(tunnel)
    environment = {"SSL_CERT_FILE": str(folder / "good-ca.pem")}
    if proxied:
        environment["ENTREPOT_UPSTREAM_PROXY"] = f"http://127.0.0.1:{proxy.port}"
    house = House(vendor.port, environment=environment)
    text = house.catalog.read_text().replace(f"http://127.0.0.1:{vendor.port}", f"https://localhost:{good.port}")
    house.catalog.write_text(text + _MORE.format(port=good.port, other=stranger.port))
    try:
        house.start()
        house.first_answer()
        yield Place(house, folder / "ledger", asked)
    finally:
        house.end()
        vendor.end()
        for each in (good, stranger, proxy):
            each.close()


def test_answers_through_tls_are_right_and_a_wrong_certificate_charges_nothing(tmp_path: Path) -> None:
    with place(tmp_path, proxied=False) as (house, ledger, asked):
        for stream in (False, True):
            for _ in range(3):
                status, text = house.post(chat_body(house.model, stream=stream, prompt=7, completion=9))
                assert status == 200
                assert text.endswith(b"data: [DONE]\n\n") if stream else json.loads(text)["usage"]["total_tokens"] == 16
        for model in ("by-number", "by-stranger"):
            status, text = house.post(chat_body(model))
            assert (status, json.loads(text)["error"]["code"]) == (502, "upstream_unreachable"), model
            (record,) = [r for (r,) in house.ours().endings.values() if r.terms.model == model]
            assert (record.state, record.charge, record.reason) == ("void", 0, "upstream_connect")
        found = compare(accepted(ledger), house.ours())
        assert found.differences == []
        assert found.equal >= 7
        assert asked == []
        assert house.command("verify").returncode == 0


def test_a_proxy_tunnels_to_the_upstream_and_sees_nothing_of_the_call(tmp_path: Path) -> None:
    with place(tmp_path, proxied=True) as (house, ledger, asked):
        status, text = house.post(chat_body(house.model, prompt=7, completion=9))
        assert (status, json.loads(text)["usage"]["total_tokens"]) == (200, 16)
        assert asked
        assert all(line.startswith("CONNECT localhost:") and line.endswith(" HTTP/1.1") for line in asked)
        assert compare(accepted(ledger), house.ours()).differences == []


def test_certificates_of_this_test_are_what_they_say(tmp_path: Path) -> None:
    """Else a refusal above could have another reason."""
    found = x509.load_pem_x509_certificate(authority(tmp_path, "good").read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert ipaddress.ip_address("127.0.0.1") not in names.get_values_for_type(x509.IPAddress)
