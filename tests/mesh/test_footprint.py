"""What the whole mesh occupies."""

from tests.support.mesh import Mesh

LIMIT_MB = 880
"""Of it 130 are the embedder's: the model and what runs it. 17 are for knowledge to reach clients' own
knowledge bases by HTTP."""


def test_the_mesh_at_rest_stays_below_its_limit(mesh: Mesh) -> None:
    print(f"\nthe mesh at rest: {mesh.memory_mb:.0f} MB of {LIMIT_MB}")  # noqa: T201 - the measurement

    assert mesh.memory_mb < LIMIT_MB
