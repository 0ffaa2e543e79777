import grpc

from services.knowledge.model import ArticleId
from services.runtime.errors import ServiceError


class ArticleNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "ARTICLE_NOT_FOUND"

    def __init__(self, article_id: ArticleId) -> None:
        super().__init__(f"there is no article {article_id}", metadata={"article_id": article_id})


class KnowledgeBaseNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "KNOWLEDGE_BASE_NOT_FOUND"

    def __init__(self, name: str, what: str = "") -> None:
        named = f"{name} {what}" if what else name
        super().__init__(
            f"there is no knowledge base {named}; the client's settings name those that there are",
            metadata={"knowledge_base": name},
        )
