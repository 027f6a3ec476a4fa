"""SQLAlchemy has no code of its own in guardai: its drivers are governed, and it works on top of them."""

import asyncio

import pytest

import guardai

sqlalchemy = pytest.importorskip("sqlalchemy")

from sqlalchemy import ForeignKey, create_engine, delete, insert, inspect, select, text, update  # noqa: E402
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine  # noqa: E402
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload  # noqa: E402

CATALOG = '[columns]\n"customers.email" = ["pii.email"]\n'
MASK = (
    "permit (principal, action, resource);"
    '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email")'
    ' unless { context.to.kind == "database" };'
    '@id("no-drop") forbid (principal, action == Action::"db.destroy", resource);'
)


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sqlalchemy.String(40))
    email: Mapped[str] = mapped_column(sqlalchemy.String(40))
    orders: Mapped[list["Order"]] = relationship(back_populates="customer", order_by="Order.id")


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    cents: Mapped[int]
    customer: Mapped[Customer] = relationship(back_populates="orders")


SYNC = {
    "sqlite": ("", "sqlite"),
    "psycopg": ("postgres", "postgresql+psycopg"),
    "psycopg2": ("postgres", "postgresql+psycopg2"),
    "pymysql": ("mariadb", "mysql+pymysql"),
}
ASYNC = {
    "aiosqlite": ("", "sqlite+aiosqlite"),
    "asyncpg": ("postgres", "postgresql+asyncpg"),
    "psycopg": ("postgres", "postgresql+psycopg_async"),
}


def address(request, tmp_path, known):
    server, scheme = known
    if not server:
        return f"{scheme}:///{tmp_path}/shop.db"
    return f"{scheme}://{request.getfixturevalue(server).partition('://')[2]}"


def fill(session):
    session.add_all(
        Customer(id=n, name=f"name{n}", email=f"unrecognisable{n}", orders=[Order(id=n * 10, cents=n * 100)])
        for n in range(1, 6)
    )


@pytest.fixture
def start(home, policy):
    def started(text=MASK, catalog=CATALOG, **settings):
        guardai.init(home=home, integrations=["dbapi"], policy=policy(text, catalog), **settings)

    return started


@pytest.fixture(params=SYNC)
def engine(request, tmp_path, start):
    """An engine of the application's, its tables made by it, with guardai started and no session open."""
    pytest.importorskip({"sqlite": "sqlite3"}.get(request.param, request.param))
    start()
    made = create_engine(address(request, tmp_path, SYNC[request.param]), pool_pre_ping=True)
    Base.metadata.create_all(made)
    with Session(made) as session:
        fill(session)
        session.commit()
    yield made
    made.dispose()


@pytest.fixture(params=ASYNC)
async def async_engine(request, tmp_path, start):
    pytest.importorskip(request.param)
    start()
    made = create_async_engine(address(request, tmp_path, ASYNC[request.param]), pool_pre_ping=True)
    async with made.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(made) as session:
        fill(session)
        await session.commit()
    yield made
    await made.dispose()


class TestSync:
    def test_application_makes_reads_and_drops_its_tables_and_leaves_no_event(self, engine, calls):
        found = inspect(engine)
        assert set(found.get_table_names()) >= {"customers", "orders"}
        assert [column["name"] for column in found.get_columns("customers")] == ["id", "name", "email"]
        with Session(engine) as session:
            assert session.get(Customer, 1).email == "unrecognisable1"
            session.execute(delete(Order))
            session.commit()
        Base.metadata.drop_all(engine)
        assert calls() == []

    def test_core_results_are_masked_and_each_statement_is_one_call(self, engine, calls):
        with guardai.session(agent="a", user="u-1"), engine.connect() as connection:
            before = len(calls())
            rows = connection.execute(select(Customer.id, Customer.email.label("contact"))).all()
            assert {row.contact for row in rows} == {"[EMAIL]"}
            assert len(rows) == 5
            assert connection.scalar(select(Customer.email).where(Customer.id == 1)) == "[EMAIL]"
            assert connection.execute(text("SELECT email FROM customers")).mappings().first()["email"] == "[EMAIL]"
            streamed = connection.execution_options(stream_results=True, max_row_buffer=2).execute(
                select(Customer.email)
            )
            assert set(streamed.scalars()) == {"[EMAIL]"}
        made = [pair for pair in calls()[before:] if pair[0]["resource"] and "customers" in repr(pair[0]["resource"])]
        assert len(made) == 4
        assert all([e["kind"] for e in pair] == ["call.intent", "call.outcome"] for pair in calls())

    def test_objects_of_the_orm_are_masked_with_what_they_load_later(self, engine, calls):
        with guardai.session(agent="a"), Session(engine) as session:
            customers = session.scalars(select(Customer).order_by(Customer.id).options(selectinload(Customer.orders)))
            assert [(c.email, c.name, c.orders[0].cents) for c in customers] == [
                ("[EMAIL]", f"name{n}", n * 100) for n in range(1, 6)
            ]
            assert session.get(Order, 10).customer.email == "[EMAIL]"

    def test_denied_statement_raises_as_it_is_and_leaves_connection_and_session_usable(self, engine):
        with guardai.session(agent="a"):
            with engine.connect() as connection:
                for denied in (delete(Customer), update(Customer).values(name="x"), text("DROP TABLE orders")):
                    with pytest.raises(guardai.PolicyDenied):
                        connection.execute(denied)
                    assert connection.scalar(select(sqlalchemy.func.count()).select_from(Customer)) == 5
            with Session(engine) as session:
                session.execute(update(Customer).where(Customer.id == 1).values(name="lost"))
                with pytest.raises(guardai.PolicyDenied):
                    session.execute(delete(Order))
                session.rollback()
                assert session.get(Customer, 1).name == "name1"
        with Session(engine) as session:
            assert session.get(Customer, 1).name == "name1"
            assert session.get(Order, 10) is not None

    def test_unit_of_work_writes_and_a_denied_flush_is_rolled_back(self, engine, start):
        with guardai.session(agent="a"), Session(engine) as session:
            session.get(Customer, 2).name = "new"
            session.delete(session.get(Order, 20))
            session.add(Customer(id=9, name="nine", email="x"))
            session.commit()
        with Session(engine) as session:
            assert session.get(Customer, 2).name == "new"
            assert session.get(Order, 20) is None
            assert session.get(Customer, 9).email == "x"

    def test_many_rows_and_returning_are_one_call_a_statement(self, engine, calls):
        names = [{"id": 100 + n, "name": f"n{n}", "email": f"n{n}@example.com"} for n in range(1500)]
        with guardai.session(agent="a"), engine.begin() as connection:
            connection.execute(select(Customer.id).where(Customer.id == 1)).all()
            before, sent = len(calls()), []
            sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *told: sent.append(told[2]))
            connection.execute(insert(Customer), names)  # in one statement or, with some drivers, in several
            assert len(calls()) - before == len(sent) <= 2
            if engine.dialect.insert_returning:
                found = connection.execute(insert(Customer).returning(Customer.id, Customer.email), [
                    {"id": 5000 + n, "name": "x", "email": "unrecognisable"} for n in range(10)
                ]).all()  # fmt: skip
                assert {row.email for row in found} == {"[EMAIL]"}
                assert sorted(row.id for row in found) == list(range(5000, 5010))
        with Session(engine) as session:
            assert session.get(Customer, 100).email == "n0@example.com"

    def test_errors_of_the_driver_are_wrapped_by_sqlalchemy_as_ever(self, engine, calls):
        with guardai.session(agent="a"), engine.connect() as connection:
            with pytest.raises((sqlalchemy.exc.ProgrammingError, sqlalchemy.exc.OperationalError), match="nowhere"):
                connection.execute(text("SELECT * FROM nowhere"))
            connection.rollback()
            with pytest.raises(sqlalchemy.exc.IntegrityError):
                connection.execute(insert(Customer).values(id=1, name="x", email="y"))
            connection.rollback()
        assert [pair[1]["status"] for pair in calls()[-2:]] == ["error", "error"]

    def test_pool_that_pings_and_resets_in_a_session_works(self, engine):
        with guardai.session(agent="a"):
            for _ in range(3):
                with engine.connect() as connection:
                    assert connection.scalar(select(Customer.id).where(Customer.id == 1)) == 1


class TestAsync:
    async def test_core_and_orm_are_masked(self, async_engine, calls):
        with guardai.session(agent="a", user="u-1"):
            async with async_engine.connect() as connection:
                rows = (await connection.execute(select(Customer.id, Customer.email.label("contact")))).all()
                assert {row.contact for row in rows} == {"[EMAIL]"}
                found = await connection.stream(select(Customer.email))
                assert [email async for email in found.scalars()] == ["[EMAIL]"] * 5
            async with AsyncSession(async_engine) as session:
                customer = await session.get(Customer, 1, options=[selectinload(Customer.orders)])
                assert (customer.email, customer.name, customer.orders[0].cents) == ("[EMAIL]", "name1", 100)
        made = [pair for pair in calls() if "#customers" in repr(pair[0]["resource"])]
        assert len(made) == 3
        assert {pair[0]["principal"]["user"] for pair in made} == {"u-1"}
        assert all([e["kind"] for e in pair] == ["call.intent", "call.outcome"] for pair in calls())

    async def test_denied_statement_raises_as_it_is_and_leaves_the_connection_usable(self, async_engine):
        with guardai.session(agent="a"):
            async with async_engine.connect() as connection:
                with pytest.raises(guardai.PolicyDenied):
                    await connection.execute(delete(Customer))
                assert await connection.scalar(select(sqlalchemy.func.count()).select_from(Customer)) == 5
            async with AsyncSession(async_engine) as session:
                await session.execute(update(Customer).where(Customer.id == 1).values(name="lost"))
                with pytest.raises(guardai.PolicyDenied):
                    await session.execute(text("DROP TABLE orders"))
                await session.rollback()
                assert (await session.get(Customer, 1)).name == "name1"

    async def test_many_rows_and_returning(self, async_engine):
        with guardai.session(agent="a"):
            async with async_engine.begin() as connection:
                await connection.execute(
                    insert(Customer), [{"id": 100 + n, "name": "n", "email": "e"} for n in range(500)]
                )
                found = await connection.execute(insert(Customer).returning(Customer.id, Customer.email), [
                    {"id": 5000 + n, "name": "x", "email": "unrecognisable"} for n in range(10)
                ])  # fmt: skip
                rows = found.all()
        assert {row.email for row in rows} == {"[EMAIL]"}
        async with AsyncSession(async_engine) as session:
            assert (await session.get(Customer, 100)).email == "e"

    async def test_tasks_of_two_users_on_one_engine_are_never_mixed(self, async_engine, calls):
        async def work(user):
            with guardai.session(agent="a", user=user):
                for n in range(10):
                    async with async_engine.connect() as connection:
                        await connection.execute(select(Order.id, text(f"'{user}'")).where(Order.id == n))

        await asyncio.gather(work("one"), work("two"))
        made = [pair[0]["principal"]["user"] for pair in calls() if "#orders" in repr(pair[0]["resource"])]
        assert (made.count("one"), made.count("two"), len(made)) == (10, 10, 20)

    async def test_applications_own_work_leaves_no_event(self, async_engine, calls):
        async with AsyncSession(async_engine) as session:
            assert (await session.get(Customer, 1)).email == "unrecognisable1"
            await session.execute(delete(Order))
            await session.commit()
        assert calls() == []


def test_first_connection_within_a_session_works_under_the_starter_policy(home, tmp_path, postgres):
    guardai.init(home=home, integrations=["dbapi"])
    for driver in ("psycopg", "psycopg2"):
        pytest.importorskip(driver)
        engine = create_engine(f"postgresql+{driver}://{postgres.partition('://')[2]}", pool_pre_ping=True)
        with guardai.session(agent="a"):
            for _ in range(2):
                with engine.connect() as connection:
                    assert connection.scalar(text("SELECT 1")) == 1
        engine.dispose()


async def test_first_async_connection_within_a_session_works_under_the_starter_policy(home, postgres):
    pytest.importorskip("asyncpg")
    guardai.init(home=home, integrations=["dbapi"])
    engine = create_async_engine(f"postgresql+asyncpg://{postgres.partition('://')[2]}", pool_pre_ping=True)
    with guardai.session(agent="a"):
        for _ in range(2):
            async with engine.connect() as connection:
                assert await connection.scalar(text("SELECT 1")) == 1
    await engine.dispose()
