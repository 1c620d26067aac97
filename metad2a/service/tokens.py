"""Bearer tokens ``md2a_<id>_<secret>``: only the sha256 of the secret is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import func, insert, inspect, select, update

from databases.errors import UserError
from databases.records.connection import Database
from metad2a.service.tables import TOKENS

PATTERN = re.compile(r"md2a_([0-9a-f]{12})_([0-9a-f]{64})")
_SECONDS_BETWEEN_NOTES = 60.0  # of when a token was last used


@dataclass(frozen=True)
class Token:
    """What is known of a token; times are seconds since 1970."""

    id: str
    name: str
    created: float
    used: float | None
    revoked: float | None


def create(database: Database, name: str) -> str:
    """A new token, which nobody can be told a second time."""
    if not name.strip() or len(name) > 80 or not name.isprintable():
        raise UserError(f"given the name {name[:80]!r}; allowed are 1 to 80 printable characters; give one")
    key, secret = secrets.token_hex(6), secrets.token_hex(32)
    row = {"id": key, "name": name.strip(), "digest": _digest(secret), "created": time.time()}
    with database.writing() as connection:
        connection.execute(insert(TOKENS).values(row))
    return f"md2a_{key}_{secret}"


def tokens(database: Database) -> list[Token]:
    """All tokens, the oldest first: none where no service was opened in the database yet."""
    columns = (TOKENS.c[name] for name in ("id", "name", "created", "used", "revoked"))
    with database.reading() as connection:
        if not inspect(connection).has_table(TOKENS.name):
            return []
        return [Token(*row) for row in connection.execute(select(*columns).order_by(TOKENS.c.created))]


def revoke(database: Database, key: str) -> None:
    """No request that bears the token is answered from now on."""
    alive = (TOKENS.c.id == key) & TOKENS.c.revoked.is_(None)
    with database.writing() as connection:
        found = connection.execute(update(TOKENS).where(alive).values(revoked=time.time())).rowcount
    if not found:
        raise UserError(f"there is no valid token {key!r}: `metad2a token list` shows the ids")


def any_valid(database: Database) -> bool:
    """Whether anybody has a token."""
    query = select(func.count()).select_from(TOKENS).where(TOKENS.c.revoked.is_(None))
    with database.reading() as connection:
        return bool(connection.scalar(query))


def owner_of(database: Database, text: str) -> str | None:
    """The id of a valid token, None for any other text."""
    found = PATTERN.fullmatch(text)
    if found is None:
        return None
    key, secret = found.groups()
    with database.reading() as connection:
        row = connection.execute(
            select(TOKENS.c.digest, TOKENS.c.used, TOKENS.c.revoked).where(TOKENS.c.id == key)
        ).first()
    if row is None or not hmac.compare_digest(row.digest, _digest(secret)) or row.revoked is not None:
        return None
    now = time.time()
    if row.used is None or now - row.used > _SECONDS_BETWEEN_NOTES:
        with database.writing() as connection:
            connection.execute(update(TOKENS).where(TOKENS.c.id == key).values(used=now))
    return str(key)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
