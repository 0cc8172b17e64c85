import json
import math
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.train import log

ROOT = Path(__file__).parents[2]


def without_crc(record):
    return {key: value for key, value in record.items() if key != "crc32"}


def test_what_is_written_is_read_and_every_line_is_standard_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    records = [
        {"net": "a", "step": 1, "loss": 0.1 + 0.2, "none": None},
        {"layers": [1.5, [2, 3]], "in": {"x": 1}},
    ]
    for record in records:
        log.write(path, record)
    log.sync(path)
    assert log.read(path) == records

    def refuse(token):
        raise AssertionError(token)

    lines = path.read_text().splitlines()
    assert [without_crc(json.loads(line, parse_constant=refuse)) for line in lines] == records


def test_what_is_not_finite_survives_as_a_string(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log.write(path, {"a": float("nan"), "b": [np.inf, -np.inf], "c": jnp.array([jnp.nan, 1.0])})
    assert without_crc(json.loads(path.read_text())) == {
        "a": "nan",
        "b": ["inf", "-inf"],
        "c": ["nan", 1.0],
    }
    (record,) = log.read(path)
    assert (
        math.isnan(record["a"])
        and record["b"] == [math.inf, -math.inf]
        and math.isnan(record["c"][0])
    )


def test_arrays_become_lists_and_keep_every_bit(tmp_path):
    path, x = tmp_path / "metrics.jsonl", jnp.array([0.1, 1 / 3, 1e-30], jnp.float32)
    log.write(path, {"x": x, "n": jnp.int32(3), "numpy": np.float64(0.1)})
    (record,) = log.read(path)
    assert np.float32(record["x"]).tobytes() == np.asarray(x).tobytes()
    assert record["n"] == 3 and isinstance(record["n"], int) and record["numpy"] == 0.1


def test_a_torn_last_line_is_not_read_and_is_gone_with_the_next_write(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log.write(path, {"step": 1})
    # without its newline even a whole object may be the front of another
    for torn in (b'{"st', b"{", b'{"step": 2}'):
        path.write_bytes(b'{"step": 1}\n' + torn)
        assert log.read(path) == [{"step": 1}]
        log.write(path, {"step": 3})
        assert log.read(path) == [{"step": 1}, {"step": 3}]
    path.write_bytes(b'{"torn')
    log.write(path, {"step": 4})
    assert path.read_bytes().count(b"\n") == 1 and log.read(path) == [{"step": 4}]


def test_truncate_keeps_the_bytes_of_what_it_keeps(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(
        b'{"net":"a", "step":1}\n{"net": "b", "step": 2.50}\n{"net": "a", "step": 3}\n{"torn'
    )
    log.truncate(path, lambda record: record["net"] == "b" or record["step"] <= 1)
    assert path.read_bytes() == b'{"net":"a", "step":1}\n{"net": "b", "step": 2.50}\n'
    assert list(tmp_path.iterdir()) == [path]
    log.truncate(tmp_path / "absent.jsonl", lambda record: True)
    assert log.read(tmp_path / "absent.jsonl") == []


@pytest.mark.parametrize("line", [b"nonsense\n", b"[1]\n", b"\n"])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'{"step": 2}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl: line 2 is no JSON object"):
        log.read(path)


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path):
    path = tmp_path / "metrics.jsonl"
    code = (
        "import resource, sys; from deepseq.train import log\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    while True: log.write(sys.argv[1], {'text': 'x' * 100})\n"
        "except OSError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(path)]
    limited = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (
        "cannot write the log (File too large); make room" in limited.stdout
        and str(path) in limited.stdout
    )
    assert limited.stdout.count("\n") == 1
    assert log.read(path) == [{"text": "x" * 100}] * 7  # 134 bytes each


def test_texts_that_look_like_numbers_stay_texts(tmp_path):
    path = tmp_path / "metrics.jsonl"
    record = {"words": ["inf", "nan", "-inf", "'inf", "info", "'", ""], "inf": float("-inf")}
    log.write(path, record)
    assert log.read(path) == [record]


def test_every_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in range(3):
        log.write(path, {"net": "a", "step": step, "loss": 0.25 * step})
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for place in rng.choice(len(whole) - 1, 60, replace=False):
        for bit in (1, 16):
            damaged = bytearray(whole)
            damaged[place] ^= bit
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match="line [1-4] is no"):
                log.read(path)


@pytest.mark.parametrize("line", ["[" * 200_000, "{" * 200_000, '"text"', "1"])
def test_a_line_that_is_no_record(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match="line 1 is no JSON object"):
        log.read(path)


def test_a_record_has_entries_of_its_own(tmp_path):
    for record in ({}, {"crc32": 1}):
        with pytest.raises(ValueError, match="crc32"):
            log.write(tmp_path / "metrics.jsonl", record)


def test_a_log_without_checksums_goes_on_without(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    log.write(path, {"step": 2})
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    assert log.read(path) == [{"step": 1}, {"step": 2}]
