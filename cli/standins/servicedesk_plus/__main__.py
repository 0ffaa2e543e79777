"""`python -m cli.standins.servicedesk_plus --port 0 [--requests FILE]`, which prints its base URL."""

import argparse
from pathlib import Path

from cli.standins.loopback import serve
from cli.standins.servicedesk_plus.app import application
from cli.standins.servicedesk_plus.desk import ServiceDesk, new_requests


def main() -> None:
    parser = argparse.ArgumentParser(description="A ServiceDesk Plus on loopback, in memory.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--edition", choices=["onprem", "cloud"], default="onprem")
    parser.add_argument("--portal", default="itdesk", help="the Cloud portal")
    parser.add_argument("--authtoken", default="standin-key", help="the API key it takes")
    parser.add_argument("--requests", type=Path, help="JSON Lines of subject, description, requester, …")
    given = parser.parse_args()
    requests = new_requests(given.requests) if given.requests else []
    desk = ServiceDesk(requests, edition=given.edition, portal=given.portal, authtoken=given.authtoken)
    serve(application(desk), port=given.port)


if __name__ == "__main__":
    main()
