"""Rotation of host keys: what changes, what goes on to verify, and what a kill, a race or a loss leaves behind."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from guardai.errors import ConfigError, LedgerError
from guardai.ledger import (
    Ledger,
    check_proof,
    events,
    export,
    export_public,
    init_keys,
    known_keys,
    prove,
    public_key,
    revoke,
    root_at,
    rotate,
    spool,
    verify,
    verify_export,
)
from guardai.ledger.certs import one_spelling, verify_signature
from guardai.ledger.keys import open_keys
from guardai.ledger.quorum import TrustPolicy

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")


@pytest.fixture
def at_once(monkeypatch):
    """A log looks at each event whether its host is still current, not once a second."""
    monkeypatch.setattr(spool, "LEASE", 0)


def written(home, event, count=3, **options):
    ledger = Ledger.open(home, **options)
    names = [ledger.append(event()) for _ in range(count)]
    ledger.close()
    return names


def kinds(home):
    return [json.loads(data)["kind"] for data in events(home)]


def host_of(home, log):
    """Which host vouches for a log, by what its first event says."""
    first = next(json.loads(data) for data in events(home) if json.loads(data)["id"] == f"{log}-0")
    return json.loads(first["body"]["certificate"]["payload"])["issuer"]


def states(home):
    return [host.state for host in known_keys(home).hosts]


def private_files(home):
    return sorted(path.name for path in (home / "keys").rglob("*.key"))


# ---- rotation ----


@pytest.mark.usefixtures("either_store")
def test_rotated_home_verifies_under_both_hosts_with_the_root_alone(sealed_home, event, tmp_path):
    key = shutil.copy(sealed_home / "keys" / "root.pub", tmp_path / "root.pub")
    done = rotate(sealed_home)
    (name, *_) = written(sealed_home, event)
    assert host_of(sealed_home, name.partition("-")[0]) == done.current != done.former
    report = verify(sealed_home, key=key)
    assert (report.verdict, report.faults, report.notes) == (0, [], [])
    assert (report.logs, report.signed) == (3, report.events)
    assert states(sealed_home) == ["former", "current"]


@pytest.mark.usefixtures("either_store")
def test_rotation_is_recorded_with_the_new_certificate(sealed_home):
    done = rotate(sealed_home)
    (recorded,) = (json.loads(data) for data in events(sealed_home) if json.loads(data)["kind"] == "key.certified")
    claims = json.loads(recorded["body"]["certificate"]["payload"])
    assert (claims["subject"], claims["issuer"]) == ("host", known_keys(sealed_home).root)
    assert open_keys(sealed_home).claims.key == claims["key"] and open_keys(sealed_home).host_id == done.current


def test_private_key_of_a_former_host_is_erased_once_no_spool_needs_it(sealed_home):
    before = (sealed_home / "keys" / "host.key").read_bytes()
    rotate(sealed_home)
    assert private_files(sealed_home) == ["host.key", "root.key"]
    assert (sealed_home / "keys" / "host.key").read_bytes() != before


@pytest.mark.usefixtures("either_store")
def test_running_process_goes_on_under_the_new_host_in_a_log_of_its_own(home, open_ledger, event, at_once):
    ledger = open_ledger()
    first = ledger.append(event())
    done = rotate(home)
    second = ledger.append(event())
    assert first.partition("-")[0] != second.partition("-")[0]
    assert host_of(home, first.partition("-")[0]) == done.former
    assert host_of(home, second.partition("-")[0]) == done.current
    ledger.close()
    report = verify(home)
    assert (report.verdict, report.faults, report.unsigned) == (0, [], 0)
    assert not list((home / "ledger" / "spool").iterdir()) and private_files(home) == ["host.key", "root.key"]


def test_running_process_writes_a_second_at_most_under_the_former_host(home, open_ledger, event, monkeypatch):
    now = spool.time_ns()
    monkeypatch.setattr(spool, "time_ns", lambda: now)
    ledger = open_ledger(seal=False)
    ledger.append(event())  # looks
    rotate(home)
    log = ledger.append(event()).partition("-")[0]
    now += 999_000_000
    assert ledger.append(event()).partition("-")[0] == log
    now += 1_000_000
    assert ledger.append(event()).partition("-")[0] != log


@pytest.mark.usefixtures("either_store")
def test_former_hosts_key_stays_for_the_log_of_a_process_that_dies_later(home, run_python, start_python):
    process = start_python(
        "no_heads(); ledger = Ledger.open(home, seal=False); [ledger.append(event()) for _ in range(5)]\n"
        "print('written', flush=True); time.sleep(60)"
    )
    assert process.stdout.readline() == "written\n"
    done = rotate(home)
    assert private_files(home) == sorted(["host.key", "root.key", f"{done.former}.key"])
    process.kill()
    process.wait()
    report = verify(home)
    assert (report.verdict, report.recovered, report.unsigned) == (0, 6, 0)
    assert private_files(home) == ["host.key", "root.key"]


def test_nothing_is_written_under_a_former_host_not_even_the_end_of_its_log(home, event, at_once):
    ledger = Ledger.open(home, seal=False)
    ledger.append(event())
    rotate(home)
    ledger.close()
    assert kinds(home).count("log.close") == 1  # of the rotation's own log
    assert verify(home).verdict == 0
    assert "recovered" in kinds(home)


def test_gap_that_is_to_be_told_at_the_end_is_told_under_the_new_host(home, event, at_once):
    ledger = Ledger.open(home)
    ledger.append(event())
    ledger._gap = {"cause": "OSError", "count": 1, "kinds": {"call.outcome": 1}, "since": 1, "until": 1}
    rotate(home)
    ledger.close()
    assert kinds(home).count("gap") == 1
    report = verify(home)
    assert (report.verdict, report.unsigned) == (0, 0)


def test_forked_child_and_second_log_of_a_signal_handler_follow_too(home, run_python):
    run_python(
        """
        from guardai.ledger import rotate, spool, verify
        spool.LEASE = 0
        ledger = Ledger.open(home)
        ledger.append(event())
        ledger._busy = True  # as if this interrupted an append
        ledger.append(event())
        ledger._busy = False
        current = rotate(home).current
        ledger._busy = True
        ledger.append(event())
        ledger._busy = False
        pid = os.fork()
        if not pid:
            ledger.append(event())
            assert ledger._keys.host_id == current
            ledger.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert ledger._aside._keys.host_id == current
        ledger.close()
        report = verify(home)
        assert (report.verdict, report.unsigned) == (0, 0), report
        """
    )


def test_renewed_certificate_of_the_same_host_verifies_what_it_signed_before(home, event, monkeypatch):
    from guardai.ledger import keys

    with monkeypatch.context() as patch:
        patch.setattr(keys, "_HOST_LIFE", 300_000_000)
        written(home, event)
        before = keys.load_keys(home)
    written(home, event)
    after = keys.load_keys(home)
    assert after.host_id == before.host_id and after.claims.until > before.claims.until
    assert verify(home).verdict == 0


# ---- what a kill, a race or a loss leaves ----


def operations(monkeypatch, stop):
    """Makes the operation number `stop` on files, and every later one, impossible; the list of those that were done."""
    from guardai.ledger import hostfiles, layout, rotation

    done = []

    def counted(real, *arguments, **options):
        if len(done) >= stop:
            raise KeyboardInterrupt
        result = real(*arguments, **options)
        done.append(real.__name__)
        return result

    for module, name in ((rotation, "publish"), (rotation, "replace"), (hostfiles, "erase")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, real=real, **o: counted(real, *a, **o))
    for name in ("link", "fsync"):
        real = getattr(layout.os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, **o: counted(real, *a, **o))
    return done


@pytest.mark.usefixtures("either_store")
@pytest.mark.parametrize("stop", range(20))
def test_rotation_that_ends_anywhere_leaves_a_home_that_opens_and_can_be_rotated(sealed_home, event, monkeypatch, stop):
    before = {json.loads(data)["id"] for data in events(sealed_home)}
    with monkeypatch.context() as patch:
        operations(patch, stop)
        try:
            rotate(sealed_home)
        except KeyboardInterrupt:
            assert stop < 19
        else:
            assert stop > 12
    written(sealed_home, event)
    assert verify(sealed_home).verdict == 0
    now = rotate(sealed_home)
    written(sealed_home, event)
    report = verify(sealed_home)
    assert (report.verdict, report.faults) == (0, [])
    assert before <= {json.loads(data)["id"] for data in events(sealed_home)}
    assert open_keys(sealed_home).host_id == now.current
    assert private_files(sealed_home) == ["host.key", "root.key"]
    assert states(sealed_home).count("current") == 1


@posix
def test_kill_at_random_points_of_rotating_loses_nothing_and_is_no_fault(home, run_python):
    run_python(
        """
        import random
        from guardai.ledger import rotate, verify
        chance = random.Random(6)
        Ledger.open(home).close()
        for n in range(15):
            pid = os.fork()
            if not pid:
                try:
                    while True:
                        ledger = Ledger.open(home)
                        ledger.append(event())
                        rotate(home)
                        ledger.append(event())
                        ledger.close()
                finally: os._exit(1)
            time.sleep(0.05 + chance.random() * 0.2)
            os.kill(pid, signal.SIGKILL)
            assert os.waitpid(pid, 0)[1] == signal.SIGKILL
            report = verify(home, adopt=bool(n % 2))
            assert not report.faults, report.faults
        """
    )
    report = verify(home)
    assert (report.verdict, report.faults, report.unsigned) == (0, [], 0)


@posix
def test_rotations_while_eight_processes_write_lose_no_event(home, run_python, tmp_path):
    names = tmp_path / "names"
    run_python(
        """
        from guardai.ledger import rotate
        Ledger.open(home).close()
        pids = []
        for n in range(8):
            pid = os.fork()
            if not pid:
                out = open(sys.argv[2], "a")
                ledger = Ledger.open(home)
                for _ in range(150):
                    out.write(ledger.append(event()) + "\\n")
                    time.sleep(0.01)
                ledger.close()
                out.close()
                os._exit(0)
            pids.append(pid)
        for _ in range(4): rotate(home)
        for pid in pids: assert os.waitpid(pid, 0)[1] == 0
        """,
        str(names),
        timeout=180,
    )
    report = verify(home)
    assert (report.verdict, report.faults, report.unsigned) == (0, [], 0)
    recorded = {json.loads(data)["id"] for data in events(home)}
    assert len(set(names.read_text().split())) == 1200 and set(names.read_text().split()) <= recorded
    assert kinds(home).count("key.certified") == 4
    assert private_files(home) == ["host.key", "root.key"]


def _rotate(home):
    rotate(home)


@pytest.mark.usefixtures("either_store")
@posix
def test_two_rotations_at_once_both_take_place_one_after_the_other(sealed_home, event):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_rotate, args=(sealed_home,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(states(sealed_home)) == ["current", "former", "former"]
    written(sealed_home, event)
    assert verify(sealed_home).verdict == 0


@pytest.mark.usefixtures("either_store")
def test_lost_private_host_key_is_replaced_by_a_rotation(sealed_home, event):
    (sealed_home / "keys" / "host.key").unlink()
    with pytest.raises(LedgerError, match="guardai keys rotate"):
        Ledger.open(sealed_home)
    rotate(sealed_home)
    written(sealed_home, event)
    assert verify(sealed_home).verdict == 0


def test_expired_host_is_replaced_by_a_rotation_with_a_root_that_is_elsewhere(home, event, monkeypatch, tmp_path):
    from guardai.ledger import keys

    with monkeypatch.context() as patch:
        patch.setattr(keys, "_HOST_LIFE", 1)
        open_keys(home)
    (home / "keys" / "root.key").rename(tmp_path / "root.key")
    with pytest.raises(LedgerError, match="has expired"):
        Ledger.open(home)
    assert states(home) == ["expired"]
    rotate(home, root_at(str(tmp_path / "root.key"), lambda _: ""))
    written(home, event)
    assert (verify(home).verdict, states(home)) == (0, ["former", "current"])


def test_running_process_whose_new_host_cannot_be_read_does_nothing_more(home, open_ledger, event, at_once):
    ledger = open_ledger()
    ledger.append(event())
    rotate(home)
    kept = (home / "keys" / "host.key").read_bytes()
    (home / "keys" / "host.key").unlink()
    with pytest.raises(LedgerError, match="host.key is missing"):
        ledger.append(event())
    (home / "keys" / "host.key").write_bytes(kept)
    assert ledger.append(event())
    ledger.close()
    assert verify(home).verdict == 0


@posix
def test_keys_folder_that_cannot_be_written_is_told_and_nothing_is_changed(sealed_home, run_python):
    current = known_keys(sealed_home).hosts[0].id
    done = run_python(
        """
        import subprocess
        from guardai.ledger import known_keys, rotate, verify
        if os.getuid() == 0:
            for parent in home.parents: os.chmod(parent, os.stat(parent).st_mode | 0o5) if len(parent.parts) > 2 else None
            subprocess.run(["chown", "-R", "65534:65534", str(home)], check=True)
            os.setgid(65534); os.setuid(65534)
        os.chmod(home / "keys", 0o500)
        try: rotate(home)
        except LedgerError as error: print(error)
        ledger = Ledger.open(home)
        ledger.append(event())
        ledger.close()
        assert verify(home).verdict == 0
        print(known_keys(home).hosts[0].id)
        """
    )
    told, host = done.stdout.splitlines()
    assert "nothing was changed" in told and host == current


@posix
def test_keys_of_another_user_are_not_rotated(sealed_home, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: sealed_home.stat().st_uid + 1)
    with pytest.raises(LedgerError, match="belongs to another user"):
        rotate(sealed_home)
    assert states(sealed_home) == ["current"]


def test_root_of_another_home_and_a_root_that_is_not_here_rotate_nothing(sealed_home, tmp_path):
    open_keys(tmp_path / "other")
    other = root_at(str(tmp_path / "other" / "keys" / "root.key"), lambda _: "")
    with pytest.raises(LedgerError, match="not that of this home"):
        rotate(sealed_home, other)
    (sealed_home / "keys" / "root.key").rename(tmp_path / "root.key")
    with pytest.raises(LedgerError, match="--root-key"):
        rotate(sealed_home)
    assert states(sealed_home) == ["current"]
    rotate(sealed_home, root_at(str(tmp_path / "root.key"), lambda _: ""))
    assert states(sealed_home) == ["former", "current"]


# ---- a root that is elsewhere ----


def pem(key, place):
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    place.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return str(place)


@pytest.fixture
def p256(tmp_path):
    return root_at(pem(ec.generate_private_key(ec.SECP256R1()), tmp_path / "p256"), lambda _: "")


def test_root_of_p256_vouches_for_everything_there_is(home, p256, event, tmp_path):
    init_keys(home, p256)
    (name, *_) = written(home, event)
    rotate(home, p256)
    written(home, event)
    assert not (home / "keys" / "root.key").exists()
    report = verify(home)
    assert (report.verdict, report.faults, report.notes) == (0, [], [])
    assert (known_keys(home).kind, known_keys(home).private) == ("ECDSA P-256", False)
    root = public_key(home / "keys" / "root.pub")
    assert check_proof(prove(home, name), root).id == name
    export(home, tmp_path / "x")
    assert verify_export(tmp_path / "x", key=home / "keys" / "root.pub").verdict == 0
    program = [sys.executable, str(tmp_path / "x" / "verify.py"), "--key", str(home / "keys" / "root.pub")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(program, capture_output=True, text=True, check=False, env={**environment, "PYTHONUTF8": "1"})
    assert (done.returncode, done.stderr) == (0, "")


def test_root_in_the_hardware_makes_and_rotates_keys_with_one_question_for_the_pin_each(home, softhsm, event):
    asked = []

    def root():
        return root_at(f"{softhsm.uri}#{softhsm.public}", lambda what: asked.append(what) or softhsm.pin)

    init_keys(home, root())
    written(home, event)
    former = rotate(home, root()).former
    assert asked == [softhsm.uri] * 2
    revoke(home, former, root_at(softhsm.uri, lambda _: softhsm.pin, home / "keys" / "root.pub"), since=1)
    assert {fault.code for fault in verify(home).faults} == {"revoked"}


def test_root_that_cannot_be_used_makes_no_keys(home, softhsm, tmp_path):
    wrong = root_at(f"{softhsm.uri}#{softhsm.public}", lambda _: "1")
    with pytest.raises(ConfigError, match="the key cannot be used"):
        init_keys(home, wrong)
    assert not (home / "keys").exists() and list(tmp_path.iterdir()) == []


def test_root_of_another_kind_is_refused(tmp_path):
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        with pytest.raises(LedgerError, match="Ed25519 or ECDSA P-256"):
            root_at(pem(key, tmp_path / "key"), lambda _: "")


def test_home_that_has_keys_is_not_given_others(sealed_home, p256):
    before = {path: path.read_bytes() for path in (sealed_home / "keys").rglob("*") if path.is_file()}
    with pytest.raises(LedgerError, match="has keys already"):
        init_keys(sealed_home, p256)
    assert {path: path.read_bytes() for path in (sealed_home / "keys").rglob("*") if path.is_file()} == before


def test_signature_of_p256_has_one_spelling(p256):
    signature = p256.sign(b"message")
    assert verify_signature(p256.public, signature.hex(), b"message")
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    r, s = decode_dss_signature(signature)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = encode_dss_signature(r, order - s)
    assert one_spelling(other) == signature and not verify_signature(p256.public, other.hex(), b"message")
    assert not verify_signature(p256.public, signature.hex(), b"massage")


# ---- what anybody may have ----


def test_public_keys_are_exported_without_a_private_one_and_the_policy_trusts_every_host(sealed_home, event, tmp_path):
    first = prove(sealed_home, json.loads(next(events(sealed_home)))["id"])
    rotate(sealed_home)
    (name, *_) = written(sealed_home, event)
    export_public(sealed_home, tmp_path / "public")
    there = [path for path in (tmp_path / "public").rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in there) == [".cert", ".cert", ".policy", ".pub"]
    assert all(b"PRIVATE" not in path.read_bytes() for path in there)
    policy = TrustPolicy.read((tmp_path / "public" / "trust.policy").read_text())
    for proof in (first, prove(sealed_home, name)):
        assert check_proof(proof, policy) and check_proof(proof, public_key(tmp_path / "public" / "root.pub"))
    with pytest.raises(LedgerError, match="is there already"):
        export_public(sealed_home, tmp_path / "public")


@pytest.mark.usefixtures("either_store")
def test_export_after_a_rotation_is_whole(sealed_home, event, tmp_path):
    rotate(sealed_home)
    written(sealed_home, event)
    export(sealed_home, tmp_path / "x")
    report = verify_export(tmp_path / "x", key=sealed_home / "keys" / "root.pub")
    assert (report.verdict, report.signed) == (0, report.events)
    assert len(list((tmp_path / "x" / "keys" / "hosts").iterdir())) == 2
    policy = TrustPolicy.read((tmp_path / "x" / "trust.policy").read_text())
    assert policy.check((tmp_path / "x" / "checkpoint").read_text())


def test_root_in_a_kms_makes_and_rotates_keys(home, event, tmp_path, monkeypatch):
    import boto3
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from moto import mock_aws
    from moto.kms.utils import ECDSAPrivateKey

    def sign(self, digest, _):
        """moto hashes a digest once more, whatever MessageType says; the service does not."""
        return self.private_key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))

    monkeypatch.setattr(ECDSAPrivateKey, "sign", sign)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        kms = boto3.client("kms")
        key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        public = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        (tmp_path / "root.pem").write_bytes(public.public_bytes(serialization.Encoding.PEM, form))
        root = root_at(f"awskms:{key}#{tmp_path / 'root.pem'}", lambda _: "")
        init_keys(home, root)
        written(home, event)
        rotate(home, root)
        written(home, event)
        with pytest.raises(ConfigError, match="the key cannot be used"):
            rotate(home, root_at(f"awskms:another#{tmp_path / 'root.pem'}", lambda _: ""))
    report = verify(home)
    assert (report.verdict, report.faults, states(home)) == (0, [], ["former", "current"])
