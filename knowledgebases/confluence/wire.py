"""What is read of the answers of Confluence's REST API."""

from datetime import datetime

from pydantic import BaseModel, Field


class _View(BaseModel):
    value: str = ""


class _Body(BaseModel):
    view: _View = _View()


class _Version(BaseModel):
    when: datetime | None = None


class _Label(BaseModel):
    name: str = ""


class _Labels(BaseModel):
    results: list[_Label] = []


class _Metadata(BaseModel):
    labels: _Labels = _Labels()


class _PageLinks(BaseModel):
    webui: str = ""


class _Space(BaseModel):
    key: str = ""


class Content(BaseModel):
    id: str = Field(pattern=r"^[0-9]{1,20}$")
    type: str = ""
    space: _Space = _Space()
    status: str = "current"
    title: str = ""
    body: _Body = _Body()
    version: _Version = _Version()
    metadata: _Metadata = _Metadata()
    links: _PageLinks = Field(default=_PageLinks(), alias="_links")


class _OneLinks(_PageLinks):
    base: str = ""


class _ResultsLinks(BaseModel):
    base: str = ""
    context: str = ""
    next: str = ""


class One(Content):
    """Asked for by itself, and so with the address of all."""

    links: _OneLinks = Field(default=_OneLinks(), alias="_links")


class Results(BaseModel):
    results: list[Content]
    links: _ResultsLinks = Field(default=_ResultsLinks(), alias="_links")


class User(BaseModel):
    type: str = ""
    display_name: str = Field(default="", alias="displayName")


class Failure(BaseModel):
    message: str = ""
