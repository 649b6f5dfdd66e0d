"""The OpenAPI document: FastAPI's own, with the routes it never sees."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.documented import ProblemOut
from api.raw_routes import MODELS, RawRoute

_REFERENCE = "#/components/schemas/{model}"
_TEXT: Mapping[str, Any] = {"type": "string"}


def document(app: FastAPI, raw: Sequence[RawRoute]) -> dict[str, Any]:
    """The whole document."""
    schema = FastAPI.openapi(app)
    for name, definition in definitions((ProblemOut, *MODELS)).items():
        schema["components"]["schemas"].setdefault(name, definition)
    _without_frameworks_errors(schema)
    for route in raw:
        schema["paths"].setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return schema


def _without_frameworks_errors(schema: dict[str, Any]) -> None:
    """FastAPI promises a 422 of its own shape for every route with a parameter; ours are problems."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)


def definitions(models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """Their schemas, by name, with those of the models in them."""
    _, schema = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    return schema["$defs"]


def _operation(route: RawRoute) -> dict[str, Any]:
    path_names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    in_path = {**_TEXT, **({"examples": [route.example]} if route.example else {})}
    parameters = [_parameter(name, "path", None, in_path) for name in path_names]
    parameters += [_parameter(name, "header", purpose, _TEXT) for name, purpose in route.headers]
    parameters += _query(route.query) if route.query else []
    operation: dict[str, Any] = {
        "tags": [route.tag],
        "summary": route.summary,
        "operationId": route.operation_id,
        "responses": {str(status): dict(answer) for status, answer in route.answers.items()},
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": dict(route.body)}}}
    if parameters:
        operation["parameters"] = parameters
    if isinstance(route.may, frozenset):
        operation["security"] = [{"apiKey": []}]
    return operation


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    schemas: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    return [_parameter(name, "query", schema.get("description"), schema) for name, schema in schemas.items()]


def _parameter(name: str, where: str, purpose: str | None, schema: Mapping[str, Any]) -> dict[str, Any]:
    parameter = {"name": name, "in": where, "required": where == "path", "schema": dict(schema)}
    return parameter | ({"description": purpose} if purpose else {})
