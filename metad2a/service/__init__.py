"""The service: web pages and an HTTP API over the library, with jobs that survive crashes."""
