"""One PostgreSQL address, as asyncpg, dbmate and psycopg each want it."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit


def with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(database)))


def with_user(url: str, user: str, *, password: str | None = None) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    login = quote(user, safe="") + (":" + quote(password, safe="") if password else "")
    return urlunsplit(parts._replace(netloc=f"{login}@{host}"))


def database_of(url: str) -> str:
    return urlsplit(url).path.lstrip("/") or "postgres"


def for_dbmate(url: str) -> str:
    """Add what dbmate's driver needs: it demands TLS unless told otherwise; a Unix socket has none."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    on_socket = query.get("host", parts.hostname or "").startswith("/")
    if "sslmode" not in query:
        query["sslmode"] = "disable" if on_socket else "prefer"
    return urlunsplit(parts._replace(scheme="postgres", query=urlencode(query, quote_via=quote, safe="/")))
