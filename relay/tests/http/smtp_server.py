"""A mail server by aiosmtpd. Takes mail from who signs in over TLS alone, and writes each into a file.

Arguments: starttls or implicit, a certificate, its key, the folder for mails. Says its port on a line.
"""

import asyncio
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

kind, certificate, key, folder = sys.argv[1:]
USER, PASSWORD = b"relay", b"mail canary"


class Handler:
    async def handle_DATA(self, server, session, envelope):
        count = len(list(pathlib.Path(folder).iterdir()))
        head = f"MAIL FROM {envelope.mail_from} RCPT TO {','.join(envelope.rcpt_tos)}\n"
        place = pathlib.Path(folder) / f"{count:04}.new"
        place.write_bytes(head.encode() + envelope.content)
        place.rename(pathlib.Path(folder) / f"{count:04}.eml")
        return "250 Taken"


def authenticate(server, session, envelope, mechanism, data):
    known = data.login == USER and data.password == PASSWORD
    return AuthResult(success=known, handled=known)


async def serve():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    implicit = kind == "implicit"
    of_smtp = {"auth_require_tls": False} if implicit else {"tls_context": context, "require_starttls": True}

    def session():
        return SMTP(Handler(), authenticator=authenticate, auth_required=True, **of_smtp)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if implicit else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(serve())
