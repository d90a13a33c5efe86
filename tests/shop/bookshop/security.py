"""Passwords and tokens, with nothing but the standard library."""

import base64
import hashlib
import hmac
import json
import secrets


class BadToken(Exception):
    pass


def hash_password(password: str, rounds: int) -> str:
    salt = secrets.token_hex(8)
    return f"{rounds}${salt}${_digest(password, salt, rounds)}"


def check_password(password: str, stored: str) -> bool:
    rounds, salt, digest = stored.split("$")
    return hmac.compare_digest(digest, _digest(password, salt, int(rounds)))


def _digest(password: str, salt: str, rounds: int) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), rounds).hex()


def make_token(user_id: int, expires: float, secret: str) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"user": user_id, "expires": expires}).encode()).decode()
    return f"{payload}.{_signature(payload, secret)}"


def read_token(token: str, now: float, secret: str) -> int:
    payload, _, signature = token.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(payload, secret).encode()):
        raise BadToken("it is not signed by this shop")
    content = json.loads(base64.urlsafe_b64decode(payload))
    if content["expires"] < now:
        raise BadToken("it has expired")
    return int(content["user"])


def _signature(payload: str, secret: str) -> str:
    return hmac.new(secret.encode(), payload.encode(), "sha256").hexdigest()
