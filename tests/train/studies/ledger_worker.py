"""Takes trials of a ledger and pretends to train them; killed and started again by test_ledger.py."""

import sys
import time
from pathlib import Path

from edgeseg.train.studies.ledger import Ledger, Outcome
from edgeseg.train.studies.points import Point
from edgeseg.train.studies.postgresql_storage import PostgresqlStorage
from edgeseg.train.studies.study_storage import FolderStorage, StudyStorage

POINTS = [Point((f"cell{index}",), 0, {}) for index in range(12)]


def storage_at(place: str) -> StudyStorage:
    """The storage at a folder's path, or at a server's URL and a study's name."""
    return PostgresqlStorage(*place.split()) if "://" in place else FolderStorage(Path(place))


def main(place: str, log: Path, name: str, seconds: float) -> None:
    ledger = Ledger(storage_at(place), lambda known: POINTS)
    while len(ledger.outcomes()) < len(POINTS):
        with ledger.claimed() as claim:
            if claim is None:
                time.sleep(0.02)
                continue
            with log.open("a") as file:
                file.write(f"{name} {claim.point.key}\n")
            time.sleep(seconds)
            claim.gives_up(1, 0.5)
            ledger.settle(claim, Outcome("finished", 0.5, 1, 1, seconds))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
