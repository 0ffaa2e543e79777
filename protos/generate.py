"""Turns the contracts into `gen/`: Python modules, type stubs, and the descriptors that tools read.

Nothing of others' contracts is copied into the repository: `google/api` comes from googleapis-common-protos,
`buf/validate` is compiled into the protovalidate package, from where its descriptor is taken.
"""

import argparse
import filecmp
import importlib.metadata
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

PROTOS = Path(__file__).parent
GENERATED = PROTOS.parent / "gen"
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
PACKAGES = ("dossier", "buf")


def dependencies(into: Path) -> Path:
    """The descriptor set of every file outside the repository that our contracts import."""
    site_packages = Path(str(importlib.metadata.distribution("googleapis-common-protos").locate_file("")))
    google = into / "google.binpb"
    imports = ["google/api/annotations.proto", "google/rpc/error_details.proto", "google/rpc/status.proto"]
    well_known = sorted(str(p.relative_to(WELL_KNOWN)) for p in WELL_KNOWN.glob("google/protobuf/*.proto"))
    run(f"-I{site_packages}", f"-I{WELL_KNOWN}", "--include_imports", f"-o{google}", *imports, *well_known)
    files = descriptor_pb2.FileDescriptorSet.FromString(google.read_bytes())
    validate = validate_pb.AnyRules.desc().file.proto.to_binary()
    files.file.append(descriptor_pb2.FileDescriptorProto.FromString(validate))
    path = into / "dependencies.binpb"
    path.write_bytes(files.SerializeToString(deterministic=True))
    return path


def run(*arguments: str) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        sys.exit(1)


def contracts(pattern: str = "*.proto") -> list[str]:
    return sorted(str(p.relative_to(PROTOS)) for p in PROTOS.rglob(pattern))


def generate(into: Path, dependency_set: Path) -> None:
    out = str(into)
    known = f"--descriptor_set_in={dependency_set}"
    plugins = Path(sys.executable).parent
    run(
        known, f"-I{PROTOS}", f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
        f"--python_out={out}", f"--mypy_out=quiet:{out}", *contracts(),
    )  # fmt: skip
    run(
        known, f"-I{PROTOS}", f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
        f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *contracts("*_service.proto"),
    )  # fmt: skip
    run(known, f"--python_out={out}", f"--pyi_out={out}", "buf/validate/validate.proto")
    for package in PACKAGES:
        (into / package / "py.typed").touch()
    image(into / "dossier" / "descriptors.binpb", dependency_set)


def image(path: Path, dependency_set: Path) -> None:
    run(
        f"--descriptor_set_in={dependency_set}", f"-I{PROTOS}", "--include_imports", "--include_source_info",
        f"-o{path}", *contracts(),
    )  # fmt: skip


def differences(ours: Path, theirs: Path) -> list[str]:
    names = {str(p.relative_to(root)) for root in (ours, theirs) for p in root.rglob("*") if p.is_file()}
    names = {name for name in names if "__pycache__" not in name}
    _, different, missing = filecmp.cmpfiles(ours, theirs, sorted(names), shallow=False)
    return sorted(different + missing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write elsewhere, and fail when gen/ differs")
    parser.add_argument(
        "--image", type=Path, help="only write the descriptors, imports included, to this file"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        dependency_set = dependencies(Path(scratch))
        if arguments.image:
            image(arguments.image, dependency_set)
            return
        fresh = Path(scratch) / "gen"
        fresh.mkdir()
        generate(fresh, dependency_set)
        if arguments.check:
            stale = differences(fresh, GENERATED)
            if stale:
                sys.exit("gen/ differs from the contracts; run `make protos`:\n  " + "\n  ".join(stale))
            return
        for package in PACKAGES:
            shutil.rmtree(GENERATED / package, ignore_errors=True)
            shutil.copytree(fresh / package, GENERATED / package)


if __name__ == "__main__":
    main()
