"""The studio: a server and a page where a portrait is tried, directed, compared and rendered. See
docs/studio.md.

Needs the extra ``studio`` (Starlette, uvicorn, python-multipart). The server process only serves: media are
judged, stills are drawn and jobs are rendered in processes of their own.
"""
