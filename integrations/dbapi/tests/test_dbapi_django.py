"""Django has no code of its own in guardai. It is set up once for a process, so each test is a program of its own."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("django")

CATALOG = '[columns]\n"shop_customer.email" = ["pii.email"]\n'
MASK = (
    "permit (principal, action, resource);"
    '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email")'
    ' unless { context.to.kind == "database" };'
    '@id("no-destruction") forbid (principal, action == Action::"db.destroy", resource);'
)
PROGRAM = """
import asyncio, json
from pathlib import Path
import guardai
from django.conf import settings

settings.configure(
    DATABASES={{"default": json.loads({database!r})}},
    INSTALLED_APPS=["shop"], USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
guardai.init(home={home!r}, integrations=["dbapi"], policy={policy!r})
import django
django.setup()
from django.core.management import call_command
from django.db import connection, transaction, models
from shop.models import Customer, Order

call_command("migrate", verbosity=0, interactive=False, run_syncdb=True)
for n in range(1, 6):
    customer = Customer.objects.create(id=n, name=f"name{{n}}", email=f"unrecognisable{{n}}")
    Order.objects.create(id=n * 10, customer=customer, cents=n * 100)


def calls():
    from guardai.ledger import events
    found = [json.loads(event) for event in events(Path({home!r}))]
    pairs = {{}}
    for event in found:
        if event["kind"] in ("call.intent", "call.outcome"):
            pairs.setdefault(event["call"], []).append(event["kind"])
    return list(pairs.values())


def refused(act):
    try:
        act()
    except guardai.PolicyDenied:
        return True
    raise AssertionError("not denied")


{body}
connection.close()
"""
MODELS = """
from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=40)
    email = models.CharField(max_length=40)


class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders")
    cents = models.IntegerField()
"""
MIGRATION = """
from django.db import migrations, models


def rename(apps, schema_editor):
    apps.get_model("shop", "Customer").objects.all().update(name="migrated")
    apps.get_model("shop", "Customer").objects.all().delete()


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel("Customer", [
            ("id", models.AutoField(primary_key=True)), ("name", models.CharField(max_length=40)),
            ("email", models.CharField(max_length=40)), ("old", models.IntegerField(null=True)),
        ]),
        migrations.CreateModel("Order", [
            ("id", models.AutoField(primary_key=True)), ("cents", models.IntegerField()),
            ("customer", models.ForeignKey("shop.Customer", models.CASCADE, related_name="orders")),
        ]),
        migrations.RunPython(rename),
        migrations.RemoveField("Customer", "old"),
        migrations.RunSQL("CREATE TABLE gone (x int); DROP TABLE gone"),
    ]
"""


@pytest.fixture(params=["sqlite", "postgres"])
def run(request, tmp_path, home, policy):
    """Runs the body of a program of Django's, on a database with the tables that its migrations made."""
    if request.param == "sqlite":
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "django.db")}
    else:
        at = urlsplit(request.getfixturevalue("postgres"))
        database = {
            "ENGINE": "django.db.backends.postgresql", "NAME": at.path[1:], "HOST": at.hostname, "PORT": at.port,
            "USER": at.username, "PASSWORD": at.password or "",
        }  # fmt: skip
    for name, text in (
        ("__init__", ""),
        ("models", MODELS),
        ("migrations/__init__", ""),
        ("migrations/0001", MIGRATION),
    ):
        file = tmp_path / "shop" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def ran(body):
        program = PROGRAM.format(
            database=json.dumps(database),
            home=str(home),
            policy=str(policy(MASK, CATALOG)),
            body=textwrap.dedent(body),
        )
        path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            cwd=Path(tmp_path),
            timeout=200,
        )
        assert done.returncode == 0, done.stderr[-3000:]

    return ran


def test_migrations_and_the_applications_own_work_are_left_alone(run):
    run("""
        assert Customer.objects.get(id=1).email == "unrecognisable1"
        Order.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM shop_order")
        assert calls() == []
    """)


def test_what_an_agent_reads_is_masked_each_statement_one_call(run):
    run("""
        Customer.objects.count()
        with guardai.session(agent="a", user="u-1"):
            assert [(c.email, c.name) for c in Customer.objects.order_by("id")] == [
                ("[EMAIL]", f"name{n}") for n in range(1, 6)
            ]
            assert calls() == [["call.intent", "call.outcome"]]
            assert Customer.objects.get(id=1).email == "[EMAIL]"
            assert list(Customer.objects.values_list("email", flat=True)) == ["[EMAIL]"] * 5
            assert Order.objects.select_related("customer").get(id=10).customer.email == "[EMAIL]"
            assert [c.email for c in Customer.objects.prefetch_related("orders").iterator(chunk_size=2)] == ["[EMAIL]"] * 5
            assert Customer.objects.raw("SELECT * FROM shop_customer")[0].email == "[EMAIL]"
            with connection.cursor() as cursor:
                cursor.execute("SELECT email FROM shop_customer WHERE id = %s", [1])
                assert cursor.fetchone() == ("[EMAIL]",)
        assert {tuple(pair) for pair in calls()} == {("call.intent", "call.outcome")}
    """)


def test_destruction_is_denied_and_connection_and_transaction_go_on(run):
    run("""
        with guardai.session(agent="a"):
            with connection.cursor() as cursor:
                refused(lambda: cursor.execute("DELETE FROM shop_order"))
                refused(lambda: cursor.execute("DROP TABLE shop_order"))
            refused(lambda: Customer.objects.update(name="x"))
            refused(lambda: Order.objects.all()._raw_delete("default"))
            def inner():
                with transaction.atomic():  # Django lets no transaction go on in which an update has raised
                    Customer.objects.update(name="x")

            with transaction.atomic():
                Customer.objects.filter(id=1).update(name="new")
                refused(inner)
                assert Customer.objects.get(id=2).name == "name2"

            def undone():
                with transaction.atomic():
                    Customer.objects.filter(id=2).update(name="lost")
                    Customer.objects.update(name="x")

            refused(undone)
        assert list(Customer.objects.order_by("id").values_list("name", flat=True)[:3]) == ["new", "name2", "name3"]
        assert Order.objects.count() == 5
    """)


def test_bounded_writes_pass(run):
    run("""
        with guardai.session(agent="a"):
            Customer.objects.bulk_create([Customer(id=n, name="n", email="e") for n in range(100, 120)])
            customer = Customer.objects.get(id=3)
            customer.name = "three"
            customer.save(update_fields=["name"])
            made = Customer.objects.create(id=500, name="made", email="e")
            assert made.pk
        assert Customer.objects.get(id=3).name == "three"
        assert Customer.objects.get(id=3).email == "unrecognisable3"
        assert Customer.objects.filter(id__gte=100).count() >= 20
    """)


def test_async_orm_works_in_the_session_of_its_caller(run):
    run("""
        async def main():
            with guardai.session(agent="a"):
                assert [c.email async for c in Customer.objects.filter(id=1)] == ["[EMAIL]"]
                assert (await Customer.objects.aget(id=2)).email == "[EMAIL]"
            assert (await Customer.objects.aget(id=2)).email == "unrecognisable2"

        asyncio.run(main())
    """)
