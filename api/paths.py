"""A path parameter that may hold anything, slashes and line ends too: Starlette's own `path` stops at a line end."""

from starlette.convertors import Convertor, register_url_convertor


class _Anything(Convertor[str]):
    """The rest of the path."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        """As it came."""
        return value

    def to_string(self, value: str) -> str:
        """As it is."""
        return value


register_url_convertor("anything", _Anything())

REST_ID = "/{id:anything}"
REST_ADDRESS = "/{channel}/{address:anything}"
