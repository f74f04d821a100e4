"""A study on a real PostgreSQL server: shared by workers, whatever is killed or cut off, and refused in words."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import torch

from edgeseg.cli import run as main
from edgeseg.errors import MismatchError, MissingComponentError, UsageError
from edgeseg.train.checkpoint import load
from edgeseg.train.record import RunRecord
from edgeseg.train.studies.ledger import Ledger, LostClaimError, Outcome
from edgeseg.train.studies.points import Point
from edgeseg.train.studies.postgresql_connection import Address, ServerError
from edgeseg.train.studies.postgresql_storage import PostgresqlStorage
from edgeseg.train.studies.study_header import agree_in_folder
from tests.train.studies.postgresql_server import PASSWORD, Server, free_port
from tests.train.studies.test_running import TEXT

HEADER = {"title": "t", "full": False, "precision": "32-true", "study_sha256": "a", "data_sha256": "b", "settings": {}}
SIX_TRIALS = TEXT.replace("seeds = [0, 1]", "seeds = [0, 1, 2]").replace("values = [0.5, 1.0]", "values = [1.0]")
POINT = Point(("only",), 0, {})


@pytest.fixture
def database(postgresql: Server) -> str:
    """A new database."""
    return postgresql.new_database()


@pytest.fixture
def storage(postgresql: Server) -> PostgresqlStorage:
    """A new study in the database that the tests share."""
    return PostgresqlStorage(postgresql.url(), f"losses {uuid.uuid4().hex}")


def command(file: Path, data: Path, out: Path, url: str, *more: str) -> list[str]:
    return ["study", str(file), "--data", str(data), "--out", str(out), "--storage", url, *more]


def worker(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "edgeseg.cli", *words],
            stdout=stream, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def cut_off(server: Server, condition: str = "true") -> None:
    """Let the server end connections, as where a network fails."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'edgeseg'"
    assert server.ask(f"{query} AND {condition}")


def dice_and_curves(out: Path) -> tuple[list[tuple[str, ...]], bytes]:
    """Every trial's figures but for its seconds, and the plot with the curves."""
    with (out / "trials.csv").open(newline="") as file:
        rows = [tuple(value for name, value in row.items() if name != "seconds") for row in csv.DictReader(file)]
    return rows, (out / "study.png").read_bytes()


def weights(*folders: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Trial -> the best weights, of all trials that came to their end in one of the folders."""
    return {
        run.parent.name: load(run.parent / "best.pt")["network"]
        for folder in folders
        for run in (folder / "trials").glob("*/run.json")
        if RunRecord.read(run).finished
    }


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_machines_finish_a_study_in_which_one_was_killed_and_it_is_the_journals(
    postgresql: Server, database: str, blobs: Path, tmp_path: Path
) -> None:
    file, url = tmp_path / "two-losses.toml", postgresql.url(database)
    file.write_text(SIX_TRIALS)
    journal = ["study", str(file), "--data", str(blobs), "--out", str(tmp_path / "journal")]
    assert worker(journal, tmp_path / "journal.log").wait(240) == 0, (tmp_path / "journal.log").read_text()
    killed, left, late = (tmp_path / name for name in ("killed", "left", "late"))
    first, second = (worker(command(file, blobs, out, url), tmp_path / f"{out.name}.log") for out in (killed, left))
    deadline = time.monotonic() + 120
    while not list(killed.glob("trials/*/best.pt")) and time.monotonic() < deadline:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    third = worker(command(file, blobs, late, url), tmp_path / "late.log")
    assert second.wait(240) == 0, (tmp_path / "left.log").read_text()
    assert third.wait(240) == 0, (tmp_path / "late.log").read_text()
    assert dice_and_curves(left) == dice_and_curves(late) == dice_and_curves(tmp_path / "journal")
    assert any(float(row[5]) > 0.3 for row in dice_and_curves(left)[0]), (
        "networks that have learnt nothing are all alike"
    )
    expected, found = weights(tmp_path / "journal"), weights(killed, left, late)
    assert len(expected) == 6 and expected.keys() == found.keys()
    assert all(torch.equal(found[key][name], value) for key, own in expected.items() for name, value in own.items())
    endings = "SELECT count(*)::int FROM trial_user_attributes WHERE key = 'ending'"
    complete, failed = (f"SELECT count(*)::int FROM trials WHERE state = '{state}'" for state in ("COMPLETE", "FAIL"))
    assert [postgresql.ask(query, database) for query in (endings, complete, failed)] == [[(6,)], [(6,)], [(1,)]]
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


def test_a_study_of_the_same_name_with_other_settings_is_refused(storage: PostgresqlStorage) -> None:
    first = storage.agree(HEADER)
    assert {**first, "server_id": ""} == {**HEADER, "server_id": ""} and first["server_id"]
    assert storage.agree({**HEADER, "precision": "bf16-mixed"}) == first  # the first process says how all compute
    for change in ({"settings": {"training.epochs": 2}}, {"data_sha256": "c"}, {"study_sha256": "d"}):
        with pytest.raises(MismatchError, match=r"the server's study 'losses .*' is (another|other)") as caught:
            storage.agree({**HEADER, **change})
        assert "--study-name" in (caught.value.next_command or "")


def test_somebody_elses_study_is_not_written_into(storage: PostgresqlStorage) -> None:
    storage.open(None).ask()
    with pytest.raises(MismatchError, match="not made by edgeseg"):
        storage.agree(HEADER)


def test_a_folder_stays_with_its_servers_study(postgresql: Server, storage: PostgresqlStorage, tmp_path: Path) -> None:
    other = PostgresqlStorage(postgresql.url(), f"losses {uuid.uuid4().hex}")
    first = agree_in_folder(tmp_path, storage.agree(HEADER))
    for header in (other.agree(HEADER), HEADER):
        with pytest.raises(MismatchError, match="the trials of another server, or of none"):
            agree_in_folder(tmp_path, header)
    assert agree_in_folder(tmp_path, storage.agree(HEADER)) == first


def test_a_server_that_is_not_there(tmp_path: Path, blobs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "two-losses.toml"
    file.write_text(TEXT)
    url = f"postgresql://student:{PASSWORD}@127.0.0.1:{(port := free_port())}/studies"
    assert main(command(file, blobs, tmp_path / "out", url, "--json")) == 4
    answer = capsys.readouterr()
    told = json.loads(answer.out)
    assert told["what"] == "no connection to the database server" and "refused" in told["found"]
    assert told["next"] == f"pg_isready --host=127.0.0.1 --port={port}"
    assert PASSWORD not in answer.out + answer.err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "quite-wrong"}, "password authentication failed"),
        ({"user": "nobody"}, "password authentication failed"),
        ({"database": "none_such"}, "does not exist"),
    ],
)
def test_a_login_that_the_server_refuses(postgresql: Server, change: dict[str, str], words: str) -> None:
    with pytest.raises(ServerError, match="does not let this user in") as caught:
        PostgresqlStorage(postgresql.url(**{"database": "postgres", **change}), "losses").agree(HEADER)
    assert words in (caught.value.found or "") and (caught.value.next_command or "").startswith("psql --host")
    assert change.get("password", PASSWORD) not in str(caught.value)


def test_a_user_who_may_not_make_tables(postgresql: Server, database: str) -> None:
    with psycopg.connect(postgresql.url(database), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'rather-secret'")
    with pytest.raises(ServerError, match="refuses to read or write") as caught:
        PostgresqlStorage(postgresql.url(database, user="reader"), "losses").agree(HEADER)
    assert "GRANT" in (caught.value.next_command or "")


@pytest.mark.parametrize(
    "url", ["mysql://u:rather-secret@host/db", "study.db", "postgresql://u:rather-secret@host/db?colour=red"]
)
def test_what_is_no_url_of_a_server(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address(url).connect()
    assert PASSWORD not in str(caught.value) and "postgresql://USER" in (caught.value.expected or "")


def test_the_driver_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingComponentError) as caught:
        Address("postgresql://student@host/db")
    assert caught.value.next_command == "pip install 'edgeseg[storage]'"


def test_a_study_name_without_a_server_means_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "losses", "--data", "D", "--out", "O", "--study-name", "mine", "--json"]) == 2
    assert "--storage" in json.loads(capsys.readouterr().out)["expected"]


def test_tables_of_another_optuna(postgresql: Server, database: str) -> None:
    storage = PostgresqlStorage(postgresql.url(database), "losses")
    storage.agree(HEADER)
    postgresql.ask("UPDATE alembic_version SET version_num = 'v0.9.0.a' RETURNING 1", database)
    with pytest.raises(MismatchError, match="another version of Optuna"):
        storage.agree(HEADER)


def test_a_lost_connection_ends_the_worker_in_words_and_the_trial_is_free(
    postgresql: Server, storage: PostgresqlStorage
) -> None:
    ledger = Ledger(storage, lambda known: [POINT])
    with ledger.claimed() as claim:
        assert claim is not None
        cut_off(postgresql)
        with pytest.raises(ServerError, match="connection to the database server is lost") as caught:
            claim.gives_up(1, 0.5)
        assert caught.value.exit_code == 4 and PASSWORD not in str(caught.value)
    with Ledger(storage, lambda known: [POINT]).claimed() as again:
        assert again is not None


def test_a_claim_whose_connection_broke_passes_to_another_worker_once(
    postgresql: Server, storage: PostgresqlStorage
) -> None:
    first, second = (Ledger(storage, lambda known: [POINT]) for _ in range(2))
    with first.claimed() as lost:
        assert lost is not None
        cut_off(postgresql, "query LIKE '%pg_try_advisory_lock%'")
        with second.claimed() as taken:
            assert taken is not None
            with pytest.raises(LostClaimError):
                first.settle(lost, Outcome("finished", 0.4, 1, 1, 1.0))
            second.settle(taken, Outcome("finished", 0.9, 1, 1, 1.0))
    assert [outcome.dice for outcome in first.outcomes().values()] == [0.9]


def test_a_worker_that_waits_for_its_turn_hears_of_a_lost_connection(
    postgresql: Server, storage: PostgresqlStorage
) -> None:
    def wait() -> None:
        with storage.alone():
            pytest.fail("the lock is held")

    waiting = "wait_event_type = 'Lock'"
    with storage.alone(), ThreadPoolExecutor(1) as pool:
        turn = pool.submit(wait)
        while not postgresql.ask(f"SELECT 1 FROM pg_stat_activity WHERE {waiting}"):
            time.sleep(0.02)
        cut_off(postgresql, waiting)
        with pytest.raises(ServerError, match="connection to the database server is lost"):
            turn.result(30)


def test_both_sides_ask_after_a_silent_peer(postgresql: Server) -> None:
    with Address(postgresql.url()).connect() as connection:
        shown = [
            connection.execute(f"SHOW tcp_keepalives_{name}").fetchone()[0] for name in ("idle", "interval", "count")
        ]
        parameters = connection.info.get_parameters()
    assert shown == ["30", "10", "3"]
    assert [parameters[f"keepalives_{name}"] for name in ("idle", "interval", "count")] == shown


def test_options_of_the_url_are_kept(postgresql: Server) -> None:
    with Address(postgresql.url() + "?options=-c%20statement_timeout%3D12s").connect() as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("12s",)
        assert connection.execute("SHOW tcp_keepalives_idle").fetchone() == ("30",)
