"""URL paths of the page, its socket and its files."""

from __future__ import annotations

PAGE_PATH, LOGIN_PATH, UPLOAD_PATH = "/", "/login", "/gradio_api/upload"

SOCKET_PATH = "/kilas/socket"

VISITS_PATH = "/kilas/visits"
