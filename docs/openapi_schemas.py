"""JSON Schemas of what the API answers, from the types, with what their docstrings say of fields.

PURE. Readers must let fields pass that they do not know, so the schemas do too; what is answered
now has no others, which the tests hold it to. A field that its docstring does not tell of is an
error, and so is one that has a unit in its name and not in its docstring.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from coord.polling.overview import PollOverview
from coord.status import ClusterStatus
from coord.status.as_json import Derived
from coord.telemetry import Event
from docs.docstrings import told
from docs.telemetry_tables import EVENTS

Schema = dict[str, Any]

OTHER_EVENT: Final = "OtherEvent"
UNITS: Final = {"_ms": "millisecond", "_s": "second"}


def ref(name: str) -> Schema:
    """A reference to the schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas(kinds: Iterable[Any]) -> dict[str, Schema]:
    """The schemas of these types, of the cluster, of what is polled, of the events, and of all that
    they are made of.

    Raises:
        ValueError: a docstring lacks a field, or its unit.
    """
    told_events = [kind for kind in EVENTS if not kind.PERIODIC]
    inputs = [
        (kind, "serialization", TypeAdapter(kind))
        for kind in (*kinds, Derived, ClusterStatus, PollOverview, Event, *told_events)
    ]
    _, found = TypeAdapter.json_schemas(
        inputs,  # type: ignore[arg-type]
        ref_template=ref("{model}")["$ref"],
        schema_generator=_FromTypes,
    )
    defs: dict[str, Schema] = {_plain_name(name): each for name, each in found["$defs"].items()}
    _join(defs, defs.pop("Derived"))
    for kind in told_events:
        _name_event(defs[kind.__name__], {"const": kind.EVENT})
    other = defs.pop("Event")
    _name_event(other, {"type": "string", "not": {"enum": [kind.EVENT for kind in EVENTS]}})
    defs[OTHER_EVENT] = other | {
        "description": "Any other event, which work or handlers of yours tell.",
    }
    names = [*(kind.__name__ for kind in told_events), OTHER_EVENT]
    defs["Events"]["properties"]["events"]["items"] = {"oneOf": [ref(name) for name in names]}
    for each in defs.values():
        each.pop("title", None)
    return {name: _refs_renamed(defs[name]) for name in sorted(defs)}


def _join(defs: dict[str, Schema], derived: Schema) -> None:
    """A cluster is answered with what follows from it first."""
    cluster = defs["ClusterStatus"]
    cluster["properties"] = {**derived["properties"], **cluster["properties"]}
    cluster["required"] = [*derived["required"], *cluster["required"]]


def _name_event(schema: Schema, name: Schema) -> None:
    said = name | {"description": "Its full name."}
    schema["properties"] = {"event": said, **schema["properties"]}
    schema["required"] = ["event", *schema["required"]]


def _plain_name(name: str) -> str:
    """``Listing_Member_`` is ``ListingOfMember``."""
    return re.sub(r"_(\w+?)_$", r"Of\1", name)


def _refs_renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: ref(_plain_name(item.rpartition("/")[2]))["$ref"]
            if key == "$ref"
            else _refs_renamed(item)
            for key, item in value.items()
        }
    return [_refs_renamed(item) for item in value] if isinstance(value, list) else value


class _FromTypes(GenerateJsonSchema):
    """As `coord.status.to_dict` has it: every field is there, and no other."""

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> Schema:
        return _told_of(super().dataclass_schema(schema), schema["cls"])

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        return _told_of(super().model_schema(schema), schema["cls"])

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> Schema:
        return _told_of(super().typed_dict_schema(schema), schema["cls"])

    def enum_schema(self, schema: core_schema.EnumSchema) -> Schema:
        made = super().enum_schema(schema)
        return made | {"description": told(schema["cls"], ())[0]}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        # What is left out is filled in before it is answered.
        return self.generate_inner(schema["schema"])

    def field_is_required(self, field: Any, total: bool) -> bool:
        may_lack = field["type"] == "typed-dict-field"
        return bool(super().field_is_required(field, total)) if may_lack else True

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _told_of(made: Schema, kind: type) -> Schema:
    properties: dict[str, Schema] = made["properties"]
    about, _ = told(kind, properties)
    said: dict[str, str] = {}
    for each in reversed(_with_bases(kind)):
        said |= told(each, properties)[1]
    for name, schema in properties.items():
        meaning = re.sub(r"\bNone\b", "null", said.get(name, ""))
        unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
        if not meaning or unit not in meaning:
            raise ValueError(f"{kind.__qualname__}: tell of {name} in its docstring, with its unit")
        schema["description"] = meaning
    return {**made, "description": about}


def _with_bases(kind: type) -> list[type]:
    """The class and what it is made of; a TypedDict has its bases beside its method order."""
    bases = [
        base for base in getattr(kind, "__orig_bases__", ()) if hasattr(base, "__annotations__")
    ]
    return [*kind.__mro__, *bases]
