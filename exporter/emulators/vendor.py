"""What the app needs of a vendor's emulator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from exporter.emulators.http import Request, Response

Labels: TypeAlias = tuple[tuple[str, str], ...]
Amounts: TypeAlias = dict[tuple[str, Labels], int]


@dataclass(frozen=True, slots=True)
class Paging:
    """One of a vendor's ways to page: the query parameter, and where the answer names the next.

    `answer` is the path of object keys to the token in the JSON answer; an answer without the
    parent object is not a paged one. `counted` marks page numbers: there the value at `answer`
    is the number of pages, not a token.
    """

    parameter: str
    answer: tuple[str, ...]
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """What a configuration needs for an account of the emulated vendor.

    `path` follows the provider's name in the URL. `credentials` are
    the keys that name a file with the credential, `signs_in` is whether the vendor has a token
    service (`auth_url`). `options` are the keys that feeds beyond the default ones need.
    """

    account: str
    path: str = ""
    credentials: tuple[str, ...] = ("credentials_file",)
    signs_in: bool = False
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Vendor(Protocol):
    """An emulated vendor. Paths come without the app's prefix: as under the vendor's base URL."""

    @property
    def provider(self) -> str:
        """The provider's name, and the first segment of the emulator's paths."""
        ...

    @property
    def paging(self) -> tuple[Paging, ...]:
        """Every way in which the vendor pages; none for a vendor that does not."""
        ...

    @property
    def example(self) -> Example:
        """An account that polls it."""
        ...

    def accepts(self, request: Request) -> bool:
        """Whether the request carries a credential that the vendor takes."""
        ...

    async def answer(self, request: Request) -> Response:
        """The vendor's answer when nothing goes wrong on its side."""
        ...

    def empty(self, request: Request) -> Response:
        """The emptiest answer that is still valid for this request."""
        ...

    def error(self, status: int) -> tuple[bytes, str]:
        """Body and content type of an error answer with that status, in the vendor's shape."""
        ...

    def truth(self, start: int, end: int, *, now: int) -> Amounts:
        """What accrued in [start, end) as published at `now`, by metric and labels.

        Labels are sorted pairs without provider and account. Milliseconds for metrics in
        seconds, whole units otherwise.
        """
        ...

    def levels(self, now: int) -> Amounts:
        """The gauges at `now`, in the same units."""
        ...
