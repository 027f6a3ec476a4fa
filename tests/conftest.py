"""Services that some tests need: a database of their own on a server that is there, or a skip that says which is not."""

import os
import secrets

import pytest

POSTGRES = os.environ.get("TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432")
MARIADB = os.environ.get("TEST_MARIADB", "mysql://root@127.0.0.1:3306")


def missing(what, error):
    """No service, no test: an error where services are required (`GUARDAI_REQUIRE_SERVICES`), otherwise a skip."""
    told = f"{what} cannot be reached: {type(error).__name__}"
    if os.environ.get("GUARDAI_REQUIRE_SERVICES"):
        pytest.fail(told)
    pytest.skip(told)


@pytest.fixture
def postgres():
    """The address of an empty PostgreSQL database."""
    try:
        import psycopg

        connection = psycopg.connect(f"{POSTGRES}/postgres", connect_timeout=5, autocommit=True)
    except Exception as error:
        missing(f"PostgreSQL ({POSTGRES})", error)
    name = f"guardai_test_{secrets.token_hex(6)}"
    connection.execute(f"CREATE DATABASE {name}")
    try:
        yield f"{POSTGRES}/{name}"
    finally:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.close()


@pytest.fixture
def mariadb():
    """The address of an empty MariaDB database."""
    from urllib.parse import urlsplit

    parts = urlsplit(MARIADB)
    try:
        import pymysql

        connection = pymysql.connect(
            host=parts.hostname, port=parts.port, user=parts.username, password=parts.password or "", connect_timeout=5
        )
    except Exception as error:
        missing(f"MariaDB ({MARIADB})", error)
    name = f"guardai_test_{secrets.token_hex(6)}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield f"{MARIADB}/{name}"
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")
        connection.close()
