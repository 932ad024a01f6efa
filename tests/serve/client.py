"""A client of relucent's that knows nothing of it but its .proto files: client.py PROTO_FOLDER ADDRESS REQUESTS ANSWERS

Sends the messages of REQUESTS on one stream and writes the depth frames that come back to ANSWERS, each after its length,
u32 little-endian. Ends with 1 where anything is rejected.
"""

import importlib
import pathlib
import struct
import sys
import tempfile

import grpc
import grpc_tools.protoc


def compile_protos(proto):
    """Python from the .proto files, in a folder of its own."""
    out = tempfile.mkdtemp()
    files = [f"relucent/v1/{name}.proto" for name in ("measurement", "sensor", "depth", "recovery_service")]
    arguments = ["protoc", f"-I{proto}", f"--python_out={out}", f"--grpc_python_out={out}", *files]
    if grpc_tools.protoc.main(arguments) != 0:
        sys.exit("the .proto files do not compile")
    sys.path.insert(0, out)


def messages(path):
    data = pathlib.Path(path).read_bytes()
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def main(proto, address, requests, answers):
    compile_protos(proto)
    service = importlib.import_module("relucent.v1.recovery_service_pb2")
    stubs = importlib.import_module("relucent.v1.recovery_service_pb2_grpc")
    parsed = [service.RecoverRequest.FromString(message) for message in messages(requests)]
    sensors = {r.description.sensor_id for r in parsed if r.WhichOneof("kind") == "description"}
    with grpc.insecure_channel(address) as channel, open(answers, "wb") as out:
        stub = stubs.RecoveryServiceStub(channel)
        for answer in stub.Recover(iter(parsed)):
            if answer.WhichOneof("kind") != "depth":
                sys.exit(f"expected depth, got {answer.rejection}")
            frame = answer.depth.SerializeToString()
            out.write(struct.pack("<I", len(frame)) + frame)
        stats = stub.Stats(service.StatsRequest())
        if {sensor.sensor_id for sensor in stats.sensors} != sensors:
            sys.exit(f"expected stats of {sensors}, got {stats}")


main(*sys.argv[1:])
