"""`list_info`: which rows, in which order, which page of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cli.standins.servicedesk_plus.desk import Request
from cli.standins.servicedesk_plus.replies import RefusedError, milliseconds

T = TypeVar("T")

_MOST_ROWS: Final = 100

_FIELDS: Final[Mapping[str, Callable[[Request], int | None]]] = {
    "id": lambda request: int(request.id) if request.id.isdigit() else 0,
    "created_time": lambda request: int(milliseconds(request.created)),
    "last_updated_time": lambda request: int(milliseconds(request.updated)),
    "resolved_time": lambda request: int(milliseconds(request.resolved)) if request.resolved else None,
}


class Criterion(BaseModel):
    model_config = ConfigDict(frozen=True)

    field: str
    condition: str
    value: int | None = None
    values: tuple[int, ...] = ()

    def admits(self, request: Request) -> bool:
        actual = _field(self.field)(request)
        if actual is None:
            return False
        match self.condition, self.values or (self.value,):
            case "between", (int(low), int(high)):
                return low <= actual <= high
            case "greater than", (int(low),):
                return actual > low
            case "lesser than", (int(high),):
                return actual < high
            case "is", (int(same),):
                return actual == same
            case _:
                raise RefusedError(4001, f"condition {self.condition!r} with these values", field="condition")


class ListInfo(BaseModel):
    model_config = ConfigDict(frozen=True)

    row_count: int = Field(default=10, ge=1, le=_MOST_ROWS)
    start_index: int = Field(default=1, ge=1)
    sort_field: str = "id"
    sort_order: str = Field(default="asc", pattern="^(asc|desc)$")
    get_total_count: bool = False
    search_criteria: tuple[Criterion, ...] | Criterion = ()

    def requests(self, requests: Sequence[Request]) -> list[Request]:
        criteria = (
            self.search_criteria if isinstance(self.search_criteria, tuple) else (self.search_criteria,)
        )
        order = _field(self.sort_field)
        found = [request for request in requests if all(criterion.admits(request) for criterion in criteria)]
        return sorted(found, key=lambda request: order(request) or 0, reverse=self.sort_order == "desc")

    def page(self, rows: Sequence[T]) -> tuple[Sequence[T], dict[str, object]]:
        start = self.start_index - 1
        shown = rows[start : start + self.row_count]
        info: dict[str, object] = {
            "has_more_rows": len(rows) > start + self.row_count,
            "start_index": self.start_index,
            "row_count": len(shown),
            "sort_field": self.sort_field,
            "sort_order": self.sort_order,
        }
        return shown, info | ({"total_count": len(rows)} if self.get_total_count else {})


class _Input(BaseModel):
    list_info: ListInfo = ListInfo()


def list_info(input_data: str | None) -> ListInfo:
    if input_data is None:
        return ListInfo()
    try:
        return _Input.model_validate_json(input_data).list_info
    except ValidationError as error:
        raise RefusedError(4001, "not a list_info of this API", field=str(error.errors()[0]["loc"])) from None


def _field(name: str) -> Callable[[Request], int | None]:
    try:
        return _FIELDS[name]
    except KeyError:
        raise RefusedError(4001, f"unknown field {name!r}", field=name) from None
