"""`/docs`: Swagger UI from the package's own files, under a policy that lets nothing else in."""

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import RouteNotFound

PAGE_PATH: Final = "/docs"
ASSET_PATH: Final = "/docs/{asset}"

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {"content-security-policy": _POLICY, "referrer-policy": "no-referrer"}

# Addresses are relative, so that the page also works where a proxy serves it under a prefix.
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Dossier API</title>
<link rel="icon" href="docs/favicon-32x32.png" sizes="32x32">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/page.js"></script>
</body>
</html>
"""
# Without `validatorUrl` the page would ask a server on the Internet whether the document is valid.
_SCRIPT: Final = """window.addEventListener("load", () => {
  window.ui = SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: null,
    tryItOutEnabled: true,
    tagsSorter: "alpha",
  });
});
"""
_FILES: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}


async def page(_request: Request) -> Response:
    return Response(_PAGE, media_type="text/html", headers=_HEADERS)


async def asset(request: Request) -> Response:
    name = request.path_params["asset"]
    if name == "page.js":
        return Response(_SCRIPT, media_type="text/javascript", headers=_HEADERS)
    if name not in _FILES:
        raise RouteNotFound("there is nothing at this address")
    content = (files("swagger_ui") / "static" / name).read_bytes()
    headers = {**_HEADERS, "cache-control": "public, max-age=86400"}
    return Response(content, media_type=_FILES[name], headers=headers)
