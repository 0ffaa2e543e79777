"""The pages a person sees: the list of requests, and a request with its notes."""

from typing import Final

from jinja2 import DictLoader, Environment
from markupsafe import Markup
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse

from cli.standins.servicedesk_plus.desk import Request, ServiceDesk

# A note's HTML is shown as it was kept; whatever it holds, nothing in it may run or load.
_HEADERS: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}

_FRAME: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{% block title %}Requests{% endblock %}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
body { color: #222 }
h1 { font-size: 1.3rem } small, .quiet { color: #666 } table { border-collapse: collapse }
th, td { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top }
article { border: 1px solid #ddd; border-radius: 6px; padding: .5rem 1rem; margin: 1rem 0 }
article.private { background: #fff9e6; border-color: #e6d9a8 }
@media (prefers-color-scheme: dark) {
  body { background: #1b1b1b; color: #ddd } a { color: #8ab4f8 }
  article.private { background: #2a2618; border-color: #5a5130 }
}
</style>
{% block body %}{% endblock %}
<p class="quiet">A stand-in for ServiceDesk Plus, in memory.</p>
</html>"""

_REQUEST: Final = """{% extends "frame" %}
{% block title %}#{{ request.display_id }} {{ request.subject }}{% endblock %}
{% block body %}
<p><a href="/">All requests</a></p>
<h1>#{{ request.display_id }} {{ request.subject }}</h1>
<table>
<tr><th>Status</th><td>{{ request.status.name }}</td></tr>
<tr><th>Requester</th><td>{{ request.requester }} {{ request.requester_email }}</td></tr>
<tr><th>Priority</th><td>{{ request.priority }}</td></tr>
<tr><th>Category</th><td>{{ request.category }}</td></tr>
<tr><th>Site</th><td>{{ request.site }}</td></tr>
</table>
<article>{{ description }}</article>
{% if resolution %}<h2>Resolution</h2><article>{{ resolution }}</article>{% endif %}
<h2>Notes ({{ notes | length }})</h2>
{% for note, html in notes %}
<article class="{{ 'public' if note.show_to_requester else 'private' }}">
<small>Note {{ note.id }}, {{ note.created.strftime("%Y-%m-%d %H:%M:%S UTC") }},
{{ "shown to the requester" if note.show_to_requester else "private" }}</small>
<div>{{ html }}</div>
</article>
{% else %}<p>None yet.</p>{% endfor %}
{% endblock %}"""

_REQUESTS: Final = """{% extends "frame" %}{% block body %}
<h1>Requests</h1>
<table><tr><th>#</th><th>Subject</th><th>Status</th><th>Notes</th></tr>
{% for request, address in requests %}
<tr><td>{{ request.display_id }}</td><td><a href="{{ address }}">{{ request.subject }}</a></td>
<td>{{ request.status.name }}</td><td>{{ request.notes | length }}</td></tr>
{% endfor %}</table>
{% endblock %}"""

_TEMPLATES: Final = Environment(
    loader=DictLoader({"frame": _FRAME, "request": _REQUEST, "requests": _REQUESTS}), autoescape=True
)


class Pages:
    def __init__(self, desk: ServiceDesk) -> None:
        self.desk = desk

    def address(self, request: Request) -> str:
        match self.desk.edition:
            case "onprem":
                return f"/WorkOrder.do?woMode=viewWO&woID={request.id}"
            case "cloud":
                return f"/app/{self.desk.portal}/ui/requests/{request.id}/details"

    async def index(self, _: HttpRequest) -> HTMLResponse:
        rows = [(request, self.address(request)) for request in self.desk.requests.values()]
        return HTMLResponse(_TEMPLATES.get_template("requests").render(requests=rows), headers=_HEADERS)

    async def request(self, http: HttpRequest) -> HTMLResponse:
        request = self.desk.requests.get(http.path_params.get("id") or http.query_params.get("woID", ""))
        if request is None:
            return HTMLResponse("<!doctype html><title>No such request</title><h1>No such request</h1>", 404)
        page = _TEMPLATES.get_template("request").render(
            request=request,
            description=Markup(request.description),  # noqa: S704 - as the tool shows it; see _HEADERS
            resolution=Markup(request.resolution),  # noqa: S704
            notes=[(note, Markup(note.description)) for note in request.notes],  # noqa: S704
        )
        return HTMLResponse(page, headers=_HEADERS)
