import grpc

from services.network.model import Network
from services.runtime.errors import ServiceError


class AssetNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "ASSET_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no asset {name}", metadata={"name": name})


class PrefixNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "PREFIX_NOT_FOUND"

    def __init__(self, network: Network) -> None:
        super().__init__(f"there is no prefix {network}", metadata={"prefix": str(network)})
