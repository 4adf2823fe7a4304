"""A store that speaks as much of S3's protocol as pyarrow's client asks of it; objects are in memory."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Objects = dict[str, bytes]
"""Contents by bucket and key, joined by ``/``."""


class _Store(ThreadingHTTPServer):
    """Objects, and the parts of those that are being uploaded, by number."""

    def __init__(self, objects: Objects) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects, self.uploads = objects, dict[str, dict[int, bytes]]()


class _Handler(BaseHTTPRequestHandler):
    """A connection, which answers what pyarrow asks."""

    server: _Store
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _address(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        queries = parse_qs(parts.query, keep_blank_values=True)
        return unquote(parts.path).strip("/"), {name: values[0] for name, values in queries.items()}

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            body = b"".join(self._chunks(self.rfile))
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        is_signed = "aws-chunked" in self.headers.get("content-encoding", "")
        return b"".join(self._chunks(io.BytesIO(body))) if is_signed else body

    @staticmethod
    def _chunks(stream: Any) -> Iterator[bytes]:
        """The chunks of a body; each may have a signature, and a checksum may follow them."""
        while size := int(stream.readline().partition(b";")[0], 16):
            yield stream.read(size)
            stream.readline()
        while stream.readline().strip():
            pass

    def do_HEAD(self) -> None:
        key, _ = self._address()
        is_bucket = "/" not in key
        if key not in self.server.objects and not is_bucket:
            return self._answer(404)
        return self._answer(200, self.server.objects.get(key, b""), x_amz_bucket_region="us-east-1", etag='"0"',
                            last_modified="Mon, 30 Nov 2026 00:00:00 GMT")  # fmt: skip

    def do_GET(self) -> None:
        key, query = self._address()
        if "/" not in key:
            return self._list(key, query)
        if key not in self.server.objects:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        content, asked = self.server.objects[key], self.headers.get("range")
        if asked is None:
            return self._answer(200, content)
        first, last = asked.removeprefix("bytes=").split("-")
        part = content[int(first) : int(last or len(content)) + 1]
        span = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
        return self._answer(206, part, content_range=span)

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        lines: dict[str, None] = {}
        for name in sorted(self.server.objects):
            key = name.removeprefix(f"{bucket}/")
            if not name.startswith(f"{bucket}/{prefix}"):
                continue
            below, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if found:
                common = escape(prefix + below + delimiter)
                lines[f"<CommonPrefixes><Prefix>{common}</Prefix></CommonPrefixes>"] = None
            else:
                size, time = len(self.server.objects[name]), "2026-11-30T00:00:00.000Z"
                entry = f"<Key>{escape(key)}</Key><Size>{size}</Size><LastModified>{time}</LastModified>"
                lines[f"<Contents>{entry}</Contents>"] = None
        listed = f"<KeyCount>{len(lines)}</KeyCount><IsTruncated>false</IsTruncated>{''.join(lines)}"
        self._answer(200, f"<ListBucketResult>{listed}</ListBucketResult>".encode(), content_type="application/xml")

    def do_PUT(self) -> None:
        key, query = self._address()
        if "uploadId" in query:
            self.server.uploads[query["uploadId"]][int(query["partNumber"])] = self._body()
        else:
            self.server.objects[key] = self._body()
        self._answer(200, etag='"0"')

    def do_POST(self) -> None:
        key, query = self._address()
        self._body()
        if "uploads" in query:
            name = str(len(self.server.uploads))
            self.server.uploads[name] = {}
            result = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
        else:
            self.server.objects[key] = b"".join(
                part for _, part in sorted(self.server.uploads.pop(query["uploadId"]).items())
            )
            result = '<CompleteMultipartUploadResult><ETag>"0"</ETag></CompleteMultipartUploadResult>'
        self._answer(200, result.encode(), content_type="application/xml")

    def do_DELETE(self) -> None:
        self.server.objects.pop(self._address()[0], None)
        self._answer(204)


@contextmanager
def object_store(objects: Objects) -> Iterator[str]:
    """Serve objects in a thread; yield what follows ``?`` in addresses such as ``s3://bucket/key?…``."""
    server = _Store(objects)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"scheme=http&endpoint_override=127.0.0.1%3A{server.server_port}&region=us-east-1"
    finally:
        server.shutdown()
        server.server_close()
