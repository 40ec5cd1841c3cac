"""An object store in memory, as strict as the real ones, whose requests can be made to fail.

No rename, no append, no empty folder; a put is whole or not at all; only one of several creates an object.
"""

import threading
from collections.abc import Callable
from typing import Any, ClassVar

from fsspec import AbstractFileSystem, register_implementation


class Bucket(AbstractFileSystem):
    """`bucket://NAME/KEY`; a bucket is there once it is made."""

    protocol = "bucket"
    objects: ClassVar[dict[str, bytes]] = {}
    buckets: ClassVar[set[str]] = {"b"}
    requests: ClassVar[list[tuple[str, str]]] = []
    fault: ClassVar[Callable[[str, str], None] | None] = None
    _lock = threading.Lock()

    def _ask(self, what: str, path: str) -> str:
        path = self._strip_protocol(path)
        type(self).requests.append((what, path))
        if type(self).fault:
            type(self).fault(what, path)
        if path.partition("/")[0] not in self.buckets:
            raise FileNotFoundError("The specified bucket does not exist")
        return path

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        path = self._ask("put", path)
        with self._lock:
            if mode == "create" and path in self.objects:
                raise FileExistsError(path)
            self.objects[path] = bytes(value)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        path = self._ask("get", path)
        if path not in self.objects:
            raise FileNotFoundError("The specified key does not exist")
        return self.objects[path][start:end]

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        source, path = self._ask("get", path1), self._ask("put", path2)
        self.objects[path] = self.objects[source]

    def _rm(self, path: str) -> None:
        self.objects.pop(self._ask("delete", path), None)  # as S3: deleting what is not there is no error

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._ask("head", path)
        if path in self.objects:
            return {"name": path, "size": len(self.objects[path]), "type": "file"}
        if any(key.startswith(f"{path}/") for key in list(self.objects)):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._ask("list", path)
        below = [key.removeprefix(f"{path}/") for key in list(self.objects) if key.startswith(f"{path}/")]
        if not below:
            raise FileNotFoundError(path)
        files = {f"{path}/{key}": "file" for key in below if "/" not in key}
        folders = {f"{path}/{key.partition('/')[0]}": "directory" for key in below if "/" in key}
        found = [{"name": name, "size": 0, "type": kind} for name, kind in sorted({**folders, **files}.items())]
        return found if detail else [one["name"] for one in found]


register_implementation("bucket", Bucket, clobber=True)


def files_at(name: str) -> dict[str, bytes]:
    """Every object of a store in the bucket b, by key."""
    prefix = f"b/{name}/"
    return {key.removeprefix(prefix): data for key, data in sorted(Bucket.objects.items()) if key.startswith(prefix)}
