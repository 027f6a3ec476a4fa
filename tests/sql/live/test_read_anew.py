"""A schema that is read anew and tells the same."""

from guardai.model import LiveSchema
from guardai.sql.live import LiveSchemas


def test_reading_that_tells_the_same_leaves_the_former_object_in_place():
    schemas = LiveSchemas()
    first = LiveSchema(tables={"t": ("a",)})
    schemas.put("key", first)
    schemas.put("key", LiveSchema(tables={"t": ("a",)}))
    assert schemas.get("key") is first


def test_reading_that_tells_something_else_takes_its_place():
    schemas = LiveSchemas()
    schemas.put("key", LiveSchema(tables={"t": ("a",)}))
    second = LiveSchema(tables={"t": ("a", "b")})
    schemas.put("key", second)
    assert schemas.get("key") is second
