"""A push service and its browsers, by Debian's python3-cryptography: decrypts what comes as RFC 8291 says, and
checks who sends as RFC 8292 says. Says its port on a line.

POST /browsers {"key": applicationServerKey}   a new browser: its PushSubscription
POST /push/N                                    a message for browser N
GET  /browsers/N                                what browser N got
PUT  /browsers/N {"status": 410, "headers": {}} what its next messages are answered
"""

import base64
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

browsers = []
lock = threading.Lock()


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def derive(salt, secret, info, length):
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


class Browser:
    def __init__(self, application_server_key):
        self.application_server_key = application_server_key
        self.private = ec.generate_private_key(ec.SECP256R1())
        point = serialization.PublicFormat.UncompressedPoint
        self.public = self.private.public_key().public_bytes(serialization.Encoding.X962, point)
        self.auth = os.urandom(16)
        self.got = []
        self.answer = {"status": 201, "headers": {}}

    def decrypt(self, body):
        salt, size, key_length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, record = body[21 : 21 + key_length], body[21 + key_length :]
        assert len(record) <= size and len(body) <= 4096
        other = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        shared = self.private.exchange(ec.ECDH(), other)
        secret = derive(self.auth, shared, b"WebPush: info\0" + self.public + sender, 32)
        key = derive(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
        nonce = derive(salt, secret, b"Content-Encoding: nonce\0", 12)
        plain = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0")
        assert plain[-1:] == b"\2"
        return plain[:-1]

    def check_sender(self, authorization, origin):
        scheme, _, rest = authorization.partition(" ")
        assert scheme == "vapid"
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        assert parts["k"] == self.application_server_key, "another key"
        signed, _, signature = parts["t"].rpartition(".")
        header, claims = (json.loads(decode(part)) for part in signed.split("."))
        assert header["alg"] == "ES256"
        assert claims["aud"] == origin, claims
        assert time.time() < claims["exp"] <= time.time() + 86400 + 60, claims
        assert claims["sub"].split(":")[0] in ("mailto", "https", "http"), claims
        raw = decode(signature)
        r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(parts["k"]))
        key.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=None, headers=()):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def browser(self):
        return browsers[int(self.path.rpartition("/")[2])]

    def origin(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def do_GET(self):
        self.answer(200, self.browser().got)

    def do_PUT(self):
        self.browser().answer = json.loads(self.body())
        self.answer(200)

    def do_POST(self):
        body = self.body()
        if self.path == "/browsers":
            browser = Browser(json.loads(body)["key"])
            with lock:
                browsers.append(browser)
                number = len(browsers) - 1
            keys = {"p256dh": encode(browser.public), "auth": encode(browser.auth)}
            self.answer(200, {"endpoint": f"{self.origin()}/push/{number}", "keys": keys})
            return
        browser = self.browser()
        try:
            browser.check_sender(self.headers["authorization"], self.origin())
            assert self.headers["content-encoding"] == "aes128gcm"
            assert int(self.headers["ttl"]) >= 0
            message = json.loads(browser.decrypt(body))
        except Exception as error:
            print(repr(error), file=sys.stderr, flush=True)
            self.answer(400)
            return
        wanted = ("ttl", "urgency", "topic", "content-type")
        head = {name: self.headers[name] for name in wanted}
        taken = browser.answer["status"] < 300
        browser.got.append({"message": message, "headers": head, "taken": taken, "at": time.time()})
        self.answer(browser.answer["status"], headers=browser.answer.get("headers", {}))


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
