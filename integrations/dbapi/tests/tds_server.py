"""A small server of Microsoft's wire protocol (TDS 7.3) before SQLite, so that pymssql runs whole without SQL Server.

It knows what the tests send: logins, batches, remote calls, bulk rows, attentions. Every text that arrives is kept.
"""

import contextlib
import json
import re
import socket
import sqlite3
import struct
import sys
import threading

BATCH, RPC, ATTENTION, BULK, LOGIN, PRELOGIN, REPLY = 1, 3, 6, 7, 16, 18, 4
MORE, ERROR, COUNT, ATTENDED = 1, 2, 16, 32
COLLATION = b"\x09\x04\xd0\x00\x34"
TRANSACTIONS = {
    "BEGIN TRAN": "BEGIN",
    "COMMIT TRAN": "COMMIT",
    "ROLLBACK TRAN": "ROLLBACK",
    "BEGIN TRANSACTION SAVE TRANSACTION guardai": "SAVEPOINT guardai",
    "ROLLBACK TRANSACTION guardai": "ROLLBACK TO guardai",
    "COMMIT TRANSACTION": "RELEASE guardai",
}


def _short(text):
    return bytes([len(text)]) + text.encode("utf-16-le")


def _long(text):
    return struct.pack("<H", len(text)) + text.encode("utf-16-le")


def done(token=0xFD, status=0, count=0):
    return struct.pack("<BHHQ", token, status, 0, count)


def error(number, message, severity=16):
    body = (
        struct.pack("<iBB", number, 1, severity) + _long(message) + _short("peer") + _short("") + struct.pack("<i", 1)
    )
    return struct.pack("<BH", 0xAA, len(body)) + body


def changed(kind, new, old=""):
    body = bytes([kind]) + _short(new) + _short(old)
    return struct.pack("<BH", 0xE3, len(body)) + body


def _kind(numbers):
    return b"\x26\x04" if numbers else b"\xe7" + struct.pack("<H", 8000) + COLLATION


def _cell(value, numbers):
    if numbers:
        return b"\x00" if value is None else b"\x04" + struct.pack("<i", value)
    if value is None:
        return b"\xff\xff"
    data = str(value).encode("utf-16-le")
    return struct.pack("<H", len(data)) + data


def result(names, rows):
    numbers = [all(isinstance(row[at], int | None) for row in rows) and bool(rows) for at in range(len(names))]
    told = b"\x81" + struct.pack("<H", len(names))
    for name, number in zip(names, numbers, strict=True):
        told += struct.pack("<IH", 0, 1) + _kind(number) + _short(name)
    for row in rows:
        told += b"\xd1" + b"".join(_cell(value, number) for value, number in zip(row, numbers, strict=True))
    return told


class Server:
    """Listens until it is closed.

    Attributes:
        received: every text that has arrived.
        called: every remote call: its name and the values of its parameters.
        procedures: name → (status, output values, results), what remote calls answer.
        database: the SQLite behind it.
    """

    def __init__(self):
        self.received, self.called, self.procedures, self.bulk = [], [], {}, []
        self.database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self.count = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self):
        # Closing alone does not wake who waits in `accept`.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join(5)
        for peer in self._open:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listening.accept()
                self._open.append(peer)
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with contextlib.suppress(OSError, EOFError), peer:
            while True:
                kind, body = self._message(peer)
                answer = self._answer(kind, body)
                if answer is None:
                    return
                while answer:
                    part, answer = answer[:4000], answer[4000:]
                    peer.sendall(struct.pack(">BBHHBB", REPLY, 0 if answer else 1, len(part) + 8, 0, 1, 0) + part)

    def _message(self, peer):
        body = b""
        while True:
            kind, status, length = struct.unpack(">BBH", self._read(peer, 8)[:4])
            body += self._read(peer, length - 8)
            if status & 1:
                return kind, body

    def _read(self, peer, size):
        data = b""
        while len(data) < size:
            more = peer.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _answer(self, kind, body):
        if kind == PRELOGIN:
            return b"\x00\x00\x0b\x00\x06\x01\x00\x11\x00\x01\xff" + b"\x0b\x00\x00\x00\x00\x00" + b"\x02"
        if kind == LOGIN:
            name = "peer"
            told = b"\x01\x73\x0b\x00\x03" + _short(name) + b"\x0b\x00\x00\x00"
            return (
                changed(1, "master")
                + changed(4, "4096", "4096")
                + b"\xad"
                + struct.pack("<H", len(told))
                + told
                + done()
            )
        if kind == ATTENTION:
            return done(status=ATTENDED)
        if kind == BULK:
            self.bulk.append(body)
            return done(status=COUNT, count=1)
        body = body[struct.unpack("<I", body[:4])[0] :]
        return self._call(body) if kind == RPC else self._batch(body.decode("utf-16-le"))

    def _batch(self, text):
        self.received.append(text)
        if "DROP THE LINE" in text:
            return None
        parts = [part.strip() for part in text.split(";") if part.strip()]
        answers = []
        for at, part in enumerate(parts):
            more = MORE if at < len(parts) - 1 else 0
            try:
                answers.append(self._statement(part, more))
            except sqlite3.Error as exc:
                return b"".join(answers) + error(208, str(exc)) + done(status=ERROR)
        return b"".join(answers) or done()

    def _statement(self, text, more):
        if text.upper().startswith("USE "):
            return changed(1, text[4:].strip(' []"')) + done(status=more)
        if text.startswith("SELECT column_id"):
            return result(["column_id", "system_type_name", "is_identity"], [(1, "int", 0)]) + done(status=more)
        if text.startswith("SET FMTONLY ON"):
            table = re.search(r"from (\w+)", text)[1]
            names = [column[0] for column in self.database.execute(f"SELECT * FROM {table}").description]  # noqa: S608
            return result(names, []) + done(status=more)
        if text.upper().startswith("SET ") or text.startswith("insert bulk"):
            return done(status=more)
        if text == "SELECT @@ROWCOUNT":
            return result([""], [(self.count,)]) + done(status=more | COUNT, count=1)
        if text.startswith("SELECT @@SERVERNAME"):
            return result(["", ""], [("Peer", 1433)]) + done(status=more | COUNT, count=1)
        if text == "SELECT SCOPE_IDENTITY()":
            return result([""], [(7,)]) + done(status=more | COUNT, count=1)
        if text in {"BEGIN TRAN", "COMMIT TRAN", "ROLLBACK TRAN"}:
            if self.database.in_transaction is not text.startswith("BEGIN"):  # one SQLite for all connections
                self.database.execute(TRANSACTIONS[text])
            return done(status=more)
        cursor = self.database.execute(TRANSACTIONS.get(text) or re.sub(r"N'", "'", text))
        if cursor.description is None:
            self.count = cursor.rowcount
            return done(status=more | (COUNT if cursor.rowcount >= 0 else 0), count=max(cursor.rowcount, 0))
        rows = cursor.fetchall()
        return result([column[0] for column in cursor.description], rows) + done(status=more | COUNT, count=len(rows))

    def _call(self, body):
        size = struct.unpack("<H", body[:2])[0]
        name = body[2 : 2 + size * 2].decode("utf-16-le")
        self.called.append((name, body[4 + size * 2 :]))
        self.received.append(name)
        status, outputs, results = self.procedures[name]
        told = b"".join(result(*one) + done(0xFF, MORE | COUNT, len(one[1])) for one in results)
        told += b"\x79" + struct.pack("<i", status)
        for at, value in enumerate(outputs):
            told += b"\xac" + struct.pack("<H", at) + _short("") + b"\x01" + struct.pack("<IH", 0, 0)
            told += _kind(isinstance(value, int)) + _cell(value, isinstance(value, int))
        return told + done(0xFE)


def main():
    """Serves in a process of its own, for what the library does without letting other threads run; tells what arrives."""
    server = Server()
    server.database.execute("CREATE TABLE customers (id INT, name TEXT, email TEXT)")
    print(server.port, flush=True)
    while sys.stdin.readline():
        told = {"received": server.received, "bulk": [body.hex() for body in server.bulk]}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
