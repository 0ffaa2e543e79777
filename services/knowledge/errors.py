import grpc

from services.knowledge.model import ArticleId
from services.runtime.errors import ServiceError


class ArticleNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "ARTICLE_NOT_FOUND"

    def __init__(self, article_id: ArticleId) -> None:
        super().__init__(f"there is no article {article_id}", metadata={"article_id": article_id})
